"""Figures of the benchmarks."""

from pathlib import Path
from typing import Any

import numpy as np

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


def league(tasks: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Plots learning curves, a panel per task: interquartile means over seeds with 95% bootstrap intervals.

    Args:
      tasks: title -> method -> a curve of benchmarks/results/learning/. A method whose name ends in "-best" is tuned
        and drawn solid; its default settings are then dashed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = 4
    down = -(-len(tasks) // across)
    figure = Figure(figsize=(3.1 * across, 2.5 * down + 0.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    seen: dict[str, Any] = {}
    for axes, (title, methods) in zip(panels, tasks.items(), strict=False):
        for method, curve in methods.items():
            returns, steps = filled(curve["eval_return"]), curve["steps"]
            algorithm, _, tuned = method.partition("-")
            color = {"ddpg": "tab:blue", "td3": "tab:orange", "sac": "tab:red"}[algorithm]
            solid = tuned or f"{method}-best" not in methods
            (line,) = axes.plot(steps, iqm(returns), color=color, linestyle="-" if solid else "--", linewidth=1.3)
            axes.fill_between(steps, *iqm_bounds(returns), color=color, alpha=0.15, linewidth=0)
            if solid:
                seen.setdefault(algorithm, line)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1000:g}k")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    figure.legend(seen.values(), seen, loc="outside lower center", ncols=len(seen), frameon=False)
    figure.savefig(path)


def launches(rows: list[tuple[str, str, str, dict[str, Any]]], path: Path) -> None:
    """Plots what a step launches on a GPU, a bar per program: kernels, kernels of sorts and copies.

    Args:
      rows: case, algorithm, library, and what `per_step` of targets.py returns.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.28 * len(rows) + 1.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    kernels = np.array([row["launches"] - row["copies"] - row["sorting"] for *_, row in rows])
    parts = {"kernels": kernels, "copies": [row["copies"] for *_, row in rows]}
    parts["kernels of a sort, without CUB"] = [row["sorting"] for *_, row in rows]
    places, left = np.arange(len(rows))[::-1], np.zeros(len(rows))
    for (name, widths), color in zip(parts.items(), ("tab:blue", "tab:orange", "lightgray"), strict=True):
        axes.barh(places, widths, left=left, color=color, label=name, height=0.7)
        left = left + np.asarray(widths)
    for place, end, (*_, row) in zip(places, left, rows, strict=True):
        host = f"host: {row['submitted']:g} launches, {row['host_decisions']:g} decisions"
        axes.text(end, place, f"  {end:,.0f}   ({host})", va="center", fontsize=7)
    axes.set_yticks(places, [f"{case}, {algorithm}: {library}" for case, algorithm, library, _ in rows], fontsize=8)
    axes.set(xlim=(0, 1.35 * left.max()), xlabel="launches of a step of all environments, compiled for an H100")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    figure.savefig(path)


def filled(returns: Any) -> np.ndarray:
    """Returns the returns [T, S] with the worst one in place of those of seeds that diverged."""
    values = np.array(returns, float)
    return np.where(np.isfinite(values), values, np.nanmin(values))
