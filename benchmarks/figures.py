"""Figures of the benchmarks."""

from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.results.compare import profile
from ddpg_jax.runs.statistics import iqm, iqm_bounds


def bandit(rows: list[dict[str, Any]], path: Path) -> None:
    """Plots the cost of the mean action against steps, a panel per dimension; bands are the range over runs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    sizes = sorted({row["dimension"] for row in rows})
    panels = dict(zip(sizes, figure.subplots(1, len(sizes), sharey=True), strict=True))
    algorithms = dict.fromkeys(row["algorithm"] for row in rows)
    colors = dict(zip(algorithms, ("tab:blue", "tab:red", "tab:orange"), strict=True))
    for row in rows:
        axes, color = panels[row["dimension"]], colors[row["algorithm"]]
        axes.loglog(row["steps"], row["cost"], color=color, label=row["algorithm"])
        axes.fill_between(row["steps"], row["low"], row["high"], color=color, alpha=0.2, linewidth=0)
        axes.set(title=f"{row['dimension']} action dimensions", xlabel="steps")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[sizes[0]].set_ylabel("cost of the mean action")
    panels[sizes[-1]].legend(frameon=False, loc="lower left")
    figure.savefig(path)


def curves(tasks: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Plots learning curves, a panel per task: interquartile means over seeds with 95% bootstrap intervals.

    Args:
      tasks: title -> method -> a curve of benchmarks/results/learning/. Default settings are drawn solid, others,
        with a name such as "ddpg-best", dashed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(tasks), 4)
    down = -(-len(tasks) // across)
    figure = Figure(figsize=(3.1 * across, 2.5 * down + 0.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    seen: dict[str, Any] = {}
    for axes, (title, methods) in zip(panels, tasks.items(), strict=False):
        for method, curve in methods.items():
            returns, steps = filled(curve["eval_return"]), curve["steps"]
            algorithm, _, variant = method.partition("-")
            color = {"ddpg": "tab:blue", "td3": "tab:orange", "sac": "tab:red"}[algorithm]
            (line,) = axes.plot(steps, iqm(returns), color=color, linestyle="--" if variant else "-", linewidth=1.3)
            axes.fill_between(steps, *iqm_bounds(returns), color=color, alpha=0.15, linewidth=0)
            if not variant or algorithm not in methods:
                seen.setdefault(method.replace("-", ", "), line)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1000:g}k")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    figure.legend(seen.values(), seen, loc="outside lower center", ncols=len(seen), frameon=False)
    figure.savefig(path)


def profiles(panels: dict[str, dict[str, list[np.ndarray]]], path: Path) -> None:
    """Plots performance profiles: the share of runs above a score, the mean over tasks, with 95% bootstrap intervals.

    Agarwal et al. 2021, section 4.2.

    Args:
      panels: title -> name of a curve -> of every task the scores of all seeds, [S] each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3 * len(panels), 3.0), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, scores in curves.items():
            found = profile(name, scores)
            (line,) = axes.plot(found.thresholds, found.fraction, label=name, linewidth=1.3)
            bounds = {"color": line.get_color(), "alpha": 0.15, "linewidth": 0}
            axes.fill_between(found.thresholds, found.low, found.high, **bounds)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("score: random actions 0, the best known 1", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.supylabel("share of runs above it", fontsize=8)
    figure.savefig(path)


def launches(rows: list[tuple[str, str, str, dict[str, Any]]], path: Path) -> None:
    """Plots what a step launches on a GPU: a panel per case, a bar per program of kernels, copies and sorts' kernels.

    Args:
      rows: case, algorithm, library, and what `per_step` of targets.py returns.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys(case for case, *_ in rows))
    bars = [[row[1:] for row in rows if row[0] == case] for case in cases]
    figure = Figure(figsize=(9, 0.27 * len(rows) + 0.35 * len(cases) + 0.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    heights = [len(each) + 0.6 for each in bars]
    panels = figure.subplots(len(cases), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flatten()
    for axes, case, each in zip(panels, cases, bars, strict=True):
        _launched(axes, each)
        axes.set_title(case, fontsize=8, loc="left")
    panels[-1].set_xlabel("launches of a step of all environments, compiled for an H100", fontsize=8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path)


def _launched(axes: Any, bars: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Draws the bars of a case; one over four times as long as the shortest is cut off."""
    totals = np.array([row["launches"] for *_, row in bars])
    limit = min(totals.max(), 4 * totals.min())
    places, left = np.arange(len(bars))[::-1], np.zeros(len(bars))
    copies, sorting = (np.array([row[name] for *_, row in bars]) for name in ("copies", "sorting"))
    parts = {"kernels": totals - copies - sorting, "copies": copies, "kernels of a sort, without CUB": sorting}
    for (name, widths), color in zip(parts.items(), ("tab:blue", "tab:orange", "lightgray"), strict=True):
        axes.barh(places, np.clip(left + widths, 0, limit) - left, left=left, color=color, label=name, height=0.7)
        left = np.clip(left + widths, 0, limit)
    for place, end, total, (*_, row) in zip(places, left, totals, bars, strict=True):
        host = f"host: {row['submitted']:,.0f} launches, {row['host_decisions']:g} decisions"
        cut = " (cut off)" * bool(total > limit)
        axes.text(end, place, f"  {total:,.0f}{cut},  {host}", va="center", fontsize=7)
    axes.set_yticks(places, [f"{algorithm}: {library}" for algorithm, library, _ in bars], fontsize=8)
    axes.set_xlim(0, 1.5 * limit)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def filled(returns: Any) -> np.ndarray:
    """Returns the returns [T, S] with the worst one in place of those of seeds that diverged."""
    values = np.array(returns, float)
    return np.where(np.isfinite(values), values, np.nanmin(values))
