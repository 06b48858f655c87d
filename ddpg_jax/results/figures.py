"""The figure of a comparison, as it could go into a paper: curves, and of several tasks profiles and improvements.

Widths are those of a column (3.4 inches) or of two (7), with letters of 8 points; colors are Okabe and Ito's, which
color-blind readers tell apart; text stays text in SVG and PDF.
"""

import io
import textwrap
from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.compare import Comparison
from ddpg_jax.results.curves import Group
from ddpg_jax.results.labels import X_AXIS_NAMES, caption, labelled, named, tick

ColorS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", (0, (4, 1.5)))
GREY = "0.35"
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "ddpg_jax",
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}


def drawn(comparison: Comparison) -> Any:
    """The matplotlib Figure.

    Raises:
      SettingError: there are more methods than can be told apart.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(comparison.methods) > len(ColorS) * len(STYLES):
        most = len(ColorS) * len(STYLES)
        raise SettingError(f"folders must be of at most {most} methods in a figure, not {len(comparison.methods)}.")
    looks = {
        method: {"color": ColorS[at % len(ColorS)], "linestyle": STYLES[at // len(ColorS)]}
        for at, method in enumerate(comparison.methods)
    }
    across = min(len(comparison.tasks), 3)
    down = -(-len(comparison.tasks) // across)
    width = 3.4 if across == 1 else 7.0
    with rc_context(STYLE):
        extra = 0.08 * len(comparison.methods) + 0.3
        pairs = len(comparison.improvements)
        below = max(2.1, 0.6 + 0.2 * pairs) if comparison.profiles else 0.0
        figure = Figure(figsize=(width, (2.3 if across == 1 else 2.0) * down + below + extra), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.add_gridspec(2 if below else 1, 1, height_ratios=[2.1 * down, below] if below else None)
        _panels(figure, rows[0].subgridspec(down, across), comparison, looks)
        if below:
            bottom = rows[1].subgridspec(1, 2)
            _profiles(figure.add_subplot(bottom[0]), comparison, looks)
            if pairs:
                _improvements(figure.add_subplot(bottom[1]), comparison)
        _words(figure, comparison, looks, width, across)
    return figure


def saved(figure: Any, kind: str) -> bytes:
    """The figure as a file of this ending, the same bytes whenever it is drawn."""
    from matplotlib import rc_context

    file = io.BytesIO()
    undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(kind, {})
    with rc_context(STYLE):
        figure.savefig(file, format=kind[1:], metadata=undated)
    return file.getvalue()


def shorten(axis: Any) -> None:
    """Writes the numbers of an axis with `short`."""
    axis.set_major_formatter(lambda value, _: tick(value, float(np.abs(axis.get_view_interval()).max())))


def curve(axes: Any, group: Group, look: dict[str, Any]) -> None:
    """Draws the interquartile mean of a group in its interval, with a cross where a seed diverged."""
    axes.plot(group.x, group.iqm, marker="o" * (len(group.x) == 1), markersize=3, **look)
    if len(group.seeds) > 1:
        axes.fill_between(group.x, group.low, group.high, color=look["color"], alpha=0.18, linewidth=0)
    crosses = [x for x in group.diverged.values() if group.x[0] <= x <= group.x[-1]]
    for cross in crosses:
        axes.plot(
            cross,
            np.interp(cross, group.x, group.iqm),
            "x",
            color=look["color"],
            markersize=5,
            markeredgewidth=1.4,
            clip_on=False,
        )


def _panels(figure: Any, grid: Any, comparison: Comparison, looks: dict[str, Any]) -> None:
    for at, task in enumerate(comparison.tasks):
        axes = figure.add_subplot(grid[divmod(at, grid.ncols)])
        for group in comparison.groups:
            if group.task == task:
                curve(axes, group, looks[group.method])
        shorten(axes.xaxis)
        shorten(axes.yaxis)
        axes.margins(x=0.01)
        axes.set_title(task)
        axes.set_xlabel(X_AXIS_NAMES[comparison.x] if at >= len(comparison.tasks) - grid.ncols else "")
        axes.set_ylabel(named(comparison.y) if at % grid.ncols == 0 else "")


def _profiles(axes: Any, comparison: Comparison, looks: dict[str, Any]) -> None:
    for one in comparison.profiles:
        axes.step(one.thresholds, one.share, where="post", **looks[one.method])
        axes.fill_between(
            one.thresholds, one.low, one.high, step="post", color=looks[one.method]["color"], alpha=0.18, linewidth=0
        )
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="normalized score τ (0 to 1: range of all runs on a task)")
    axes.set_ylabel("share of runs above τ")
    axes.set_title("performance profiles")


def _improvements(axes: Any, comparison: Comparison) -> None:
    pairs = comparison.improvements[::-1]
    for at, pair in enumerate(pairs):
        axes.plot([pair.low, pair.high], [at, at], color=ColorS[0], alpha=0.35, linewidth=5, solid_capstyle="butt")
        axes.plot(pair.share, at, "o", color=ColorS[0], markersize=4)
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(pairs)), [f"{pair.better}\nover {pair.worse}" for pair in pairs])
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(pairs) - 0.4), xlabel="probability of improvement")
    axes.grid(visible=False, axis="y")
    axes.set_title("improvement, mean of tasks")


def _words(figure: Any, comparison: Comparison, looks: dict[str, Any], width: float, across: int) -> None:
    """The legend above and, below, what one has to know to read the figure."""
    from matplotlib.lines import Line2D

    names = [textwrap.fill(labelled(comparison, method), round(width / across**0.5 * 17)) for method in looks]
    handles = [Line2D([], [], **look, label=name) for look, name in zip(looks.values(), names, strict=True)]
    columns = min(len(names), max(1, round(width * 13) // max(map(len, names))))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, borderaxespad=0.2)
    note = textwrap.fill(caption(comparison), round(width * 21.5))
    figure.supxlabel(note, fontsize=6.5, color=GREY, x=0.01, ha="left")
