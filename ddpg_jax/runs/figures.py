"""The figures that training leaves in its folder: curve.png of a run, sweep.png of a sweep."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.runs.files import atomic_path


def learning_curve(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Writes the figure of `learning_figure` to a file.

    Raises:
      SettingError: it cannot be written.
    """
    _save(learning_figure(rows, title), path)


def learning_figure(rows: list[dict[str, Any]], title: str) -> Any:
    """Returns a figure of evaluation return against environment steps.

    It has a thin line per seed and a thick one for the mean of the seeds that have not diverged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [row["steps"] for row in rows]
    returns = np.array([row["eval_return"] for row in rows], float)  # [rows, S]
    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(steps, returns, color="tab:blue", alpha=0.35, linewidth=1)
    seeds, dead = returns.shape[1], int(np.isnan(returns[-1]).sum())
    label = f"mean of {seeds} seed{'s' * (seeds > 1)}"
    if dead:
        label = f"mean of the seeds that have not diverged ({seeds - dead} of {seeds})"
    mean = np.ma.masked_invalid(returns).mean(axis=1).filled(np.nan)
    axes.plot(steps, mean, color="tab:blue", linewidth=2, label=label)
    axes.set_title(title, parse_math=False)  # a name may have dollar signs
    axes.set(xlabel="environment steps per seed", ylabel="evaluation return")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


def sweep(points: Sequence[dict[str, Any]], table: list[dict[str, Any]], path: Path) -> None:
    """Writes a figure of return against settings: a line for one, a heat map for a grid of two, else parallel axes.

    Args:
      points: the settings of each trial.
      table: a row per trial with its index, its values, `iqm`, `low` and `high`; what is not finite is left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    names = list(points[0])
    keys = {name: float if all(_is_number(point[name]) for point in points) else str for name in names}
    scales = {name: sorted({keys[name](point[name]) for point in points}) for name in names}
    rows = [row | {name: keys[name](row[name]) for name in names} for row in table if math.isfinite(row["iqm"])]
    if len(names) == 1:
        _line(figure.subplots(), rows, names[0], scales[names[0]])
    elif len(names) == 2 and len(points) == len(scales[names[0]]) * len(scales[names[1]]):
        _heat_map(figure, rows, *scales.items())
    else:
        _parallel(figure, rows, scales)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    """Writes a figure, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _label(value: Any) -> str:
    """Returns a value of a setting in full, if it is a whole number, else to six digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:g}"


def _log(values: Sequence[Any]) -> bool:
    """Whether a logarithmic axis suits the values."""
    return not any(isinstance(value, str) for value in values) and min(values) > 0 and max(values) > 8 * min(values)


def _line(axes: Any, rows: list[dict[str, Any]], name: str, values: Sequence[Any]) -> None:
    rows = sorted(rows, key=lambda row: values.index(row[name]))
    middle = [row["iqm"] for row in rows]
    around = [[row["iqm"] - row["low"] for row in rows], [row["high"] - row["iqm"] for row in rows]]
    axes.errorbar([row[name] for row in rows], middle, around, marker="o", capsize=3)
    if _log(values):
        axes.set_xscale("log")
    axes.set(xlabel=name, ylabel="evaluation return, interquartile mean")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _heat_map(figure: Any, rows: list[dict[str, Any]], down: tuple[str, Any], across: tuple[str, Any]) -> None:
    axes = figure.subplots()
    cells = np.full((len(down[1]), len(across[1])), np.nan)
    for row in rows:
        at = down[1].index(row[down[0]]), across[1].index(row[across[0]])
        cells[at] = row["iqm"]
        axes.text(
            *at[::-1], f"{row['iqm']:,.4g}", ha="center", va="center", fontsize=8, color="white"
        ).set_path_effects(_outline())
    figure.colorbar(axes.imshow(cells, cmap="viridis", aspect="auto"), label="evaluation return, interquartile mean")
    axes.grid(False)  # whatever the user's own style is
    axes.set_yticks(range(len(down[1])), map(_label, down[1]), parse_math=False)
    axes.set_xticks(range(len(across[1])), map(_label, across[1]), parse_math=False)
    axes.set(ylabel=down[0], xlabel=across[0])


def _outline() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2, foreground="black")]


def _parallel(figure: Any, rows: list[dict[str, Any]], scales: Mapping[str, Sequence[Any]]) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes = figure.subplots()
    returns = [row["iqm"] for row in rows] or [0.0]
    color = ScalarMappable(Normalize(min(returns), max(returns)), colormaps["viridis"])
    heights = {name: _heights(values) for name, values in scales.items()}
    for row in sorted(rows, key=lambda row: row["iqm"]):  # the best on top
        axes.plot([heights[name][row[name]] for name in scales], color=color.to_rgba(row["iqm"]), linewidth=1.5)
    for at, values in enumerate(scales.values()):
        axes.axvline(at, color="0.5", linewidth=0.8)
        shown = values if len(values) <= 6 else [values[0], values[-1]]
        for value in shown:
            height = heights[list(scales)[at]][value]
            place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(_label(value), (at, height), **place, fontsize=8, parse_math=False)
    axes.set_xticks(range(len(scales)), scales)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    figure.colorbar(color, ax=axes, label="evaluation return, interquartile mean")


def _heights(values: Sequence[Any]) -> dict[Any, float]:
    """Returns the position of each value on an axis from 0 to 1: by its logarithm or size, or, for words, its order."""
    if any(isinstance(value, str) for value in values):
        places = [float(place) for place in range(len(values))]
    else:
        places = [math.log(value) if _log(values) else float(value) for value in values]
    width = (places[-1] - places[0]) or 1.0
    return {value: (place - places[0]) / width for value, place in zip(values, places, strict=True)}
