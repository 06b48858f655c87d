"""`plot`: the figure of a comparison of runs, ready for a paper: learning curves and, of several tasks, profiles.

Figures are as wide as a column (3.4 inches) or a page (7), with text of 8 points; colors are those of Okabe and Ito,
which color-blind readers can tell apart; text stays text in SVG and PDF.

All parts of a figure are drawn in this file because they share its layout.
"""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.compare import Comparison, compare
from ddpg_jax.results.curves import Group
from ddpg_jax.results.labels import X_AXIS_NAMES, caption, legend_label, named, tick
from ddpg_jax.runs.files import atomic_write, new_output
from ddpg_jax.runs.stored_run import Run

SUFFIXES = (".png", ".svg", ".pdf")
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", (0, (4, 1.5)))
MOST = len(COLORS) * len(LINE_STYLES)  # methods that can be told apart
# Of the methods beyond those; below the other lines.
OTHERS: Any = {"color": "0.8", "linestyle": "-", "linewidth": 0.6, "zorder": 1}
GRAY, BAND_ALPHA = "0.35", 0.18
RC_PARAMS: Any = {
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


def plot(
    folders: Sequence[str | Path | Run],
    out: str | Path,
    x: str = "steps",
    y: str = "eval_return",
    overwrite: bool = False,
) -> Comparison:
    """Plots learning curves of runs, and of several tasks performance profiles and probabilities of improvement.

    Folders that differ in nothing but their seeds are joined into a group, drawn as the interquartile mean over seeds
    with its 95% bootstrap interval (Agarwal et al. 2021). From the step at which a seed diverged, it counts with the
    worst return of any run on the task; of a quantity that is no return, it is excluded from averages. Where the
    evaluations of a group are at different steps, each seed is interpolated between its own, and never beyond them.
    Of more methods on a task than there are line styles, those whose curves end highest have them, in this order, and
    the others are thin and gray.

    Args:
      folders: run folders, or sweeps, each of whose settings counts as a run; or what `open_run` returns of them.
      out: the figure, .png, .svg or .pdf.
      x: "steps" and "updates" are per seed, "seconds" of the whole run with all of its seeds.
      y: a quantity of metrics.jsonl.
      overwrite: replace the figure.

    Returns:
      The numbers that are drawn.

    Raises:
      SettingError: a folder holds no run, x or y does not exist, two runs of a group have the same seed, or `out`
        cannot be written; nothing is written then.
    """
    path = new_output(out, SUFFIXES, overwrite)
    comparison = compare(folders, x, y)
    atomic_write(path, encode_figure(draw_comparison(comparison), path.suffix.lower()))
    return comparison


def draw_comparison(comparison: Comparison) -> Any:
    """Draws the matplotlib `Figure` of a comparison.

    Raises:
      SettingError: there are more methods on several tasks than can be told apart.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    styles = _line_styles(comparison)
    columns = min(len(comparison.tasks), 3)
    rows = -(-len(comparison.tasks) // columns)
    width, row_height = (3.4, 2.3) if columns == 1 else (7.0, 2.0)
    pairs = len(comparison.improvements)
    bottom_height = max(2.1, 0.6 + 0.2 * pairs) if comparison.profiles else 0.0
    legend_height = (0.16 if columns == 1 else 0.08) * min(len(styles), MOST + 1)  # of wide figures it has columns
    height = row_height * rows + bottom_height + legend_height + 0.3
    with rc_context(RC_PARAMS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        heights = [2.1 * rows, bottom_height] if bottom_height else [1]
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        _draw_curves(figure, grid[0].subgridspec(rows, columns), comparison, styles)
        if bottom_height:
            bottom = grid[1].subgridspec(1, 2)
            _draw_profiles(figure.add_subplot(bottom[0]), comparison, styles)
            if pairs:
                _draw_improvements(figure.add_subplot(bottom[1]), comparison)
        _add_legend_and_caption(figure, comparison, styles, width, columns)
    return figure


def _line_styles(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Returns the color and the line style of each method, as arguments of `Axes.plot`."""
    methods = comparison.methods
    if len(methods) > MOST and len(comparison.tasks) > 1:
        raise SettingError(f"folders must be of at most {MOST} methods on several tasks, not {len(methods)}.")
    if len(methods) > MOST:
        methods = [group.method for group in sorted(comparison.groups, key=_last_value, reverse=True)]
        methods += [group.method for group in comparison.unmeasured]
    own = {
        method: {"color": COLORS[index % len(COLORS)], "linestyle": LINE_STYLES[index // len(COLORS)]}
        for index, method in enumerate(methods[:MOST])
    }
    return own | dict.fromkeys(methods[MOST:], OTHERS)


def _last_value(group: Group) -> float:
    return float(group.iqm[-1])


def encode_figure(figure: Any, suffix: str) -> bytes:
    """Returns the figure as a file with this suffix, reproducibly: the same bytes whenever it is drawn."""
    from matplotlib import rc_context

    file = io.BytesIO()
    no_date: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    with rc_context(RC_PARAMS):
        figure.savefig(file, format=suffix[1:], metadata=no_date)
    return file.getvalue()


def shorten_tick_labels(axis: Any) -> None:
    """Formats the tick labels of an axis with `tick`."""
    axis.set_major_formatter(lambda value, _: tick(value, float(np.abs(axis.get_view_interval()).max())))


def draw_curve(axes: Any, group: Group, style: dict[str, Any]) -> None:
    """Draws the interquartile mean of a group and its interval, with a cross where a seed diverged."""
    axes.plot(group.x, group.iqm, marker="o" * (len(group.x) == 1), markersize=3, **style)
    if len(group.seeds) > 1 and style is not OTHERS:
        axes.fill_between(group.x, group.low, group.high, color=style["color"], alpha=BAND_ALPHA, linewidth=0)
    cross: dict[str, Any] = {"color": style["color"], "markersize": 5, "markeredgewidth": 1.4, "clip_on": False}
    for x in group.diverged.values():
        if group.x[0] <= x <= group.x[-1]:
            axes.plot(x, np.interp(x, group.x, group.iqm), "x", **cross)


def _draw_curves(figure: Any, grid: Any, comparison: Comparison, styles: dict[str, Any]) -> None:
    for index, task in enumerate(comparison.tasks):
        axes = figure.add_subplot(grid[divmod(index, grid.ncols)])
        for group in comparison.groups:
            if group.task == task:
                draw_curve(axes, group, styles[group.method])
        shorten_tick_labels(axes.xaxis)
        shorten_tick_labels(axes.yaxis)
        axes.margins(x=0.01)
        axes.set_title(task, parse_math=False)  # a name may have dollar signs
        axes.set_xlabel(X_AXIS_NAMES[comparison.x] if index >= len(comparison.tasks) - grid.ncols else "")
        axes.set_ylabel(named(comparison.y) if index % grid.ncols == 0 else "", parse_math=False)


def _draw_profiles(axes: Any, comparison: Comparison, styles: dict[str, Any]) -> None:
    for profile in comparison.profiles:
        style = styles[profile.method]
        band = {"step": "post", "color": style["color"], "alpha": BAND_ALPHA, "linewidth": 0}
        axes.step(profile.thresholds, profile.fraction, where="post", **style)
        axes.fill_between(profile.thresholds, profile.low, profile.high, **band)
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), title="performance profiles", ylabel="fraction of runs above τ")
    axes.set_xlabel("normalized score τ (0 to 1: range of all runs on a task)")


def _draw_improvements(axes: Any, comparison: Comparison) -> None:
    pairs = comparison.improvements[::-1]
    for y, pair in enumerate(pairs):
        axes.plot([pair.low, pair.high], [y, y], color=COLORS[0], alpha=0.35, linewidth=5, solid_capstyle="butt")
        axes.plot(pair.probability, y, "o", color=COLORS[0], markersize=4)
    axes.axvline(0.5, color=GRAY, linewidth=0.8, linestyle=":")
    labels = [f"{pair.method}\nover {pair.baseline}" for pair in pairs]
    axes.set_yticks(range(len(pairs)), labels, parse_math=False)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(pairs) - 0.4), xlabel="probability of improvement")
    axes.grid(visible=False, axis="y")
    axes.set_title("improvement, mean over tasks")


def _add_legend_and_caption(figure: Any, comparison: Comparison, styles: dict, width: float, columns: int) -> None:
    from matplotlib.lines import Line2D

    characters = round(width / columns**0.5 * 17)
    own = {legend_label(comparison, method): style for method, style in styles.items() if style is not OTHERS}
    if others := len(styles) - len(own):
        own[f"{others} more, which end{'s' * (others == 1)} lower"] = OTHERS
    labels = [textwrap.fill(label, characters) for label in own]
    handles = [Line2D([], [], **style, label=label) for style, label in zip(own.values(), labels, strict=True)]
    legend_columns = min(len(labels), max(1, round(width * 13) // max(map(len, labels))))
    legend = figure.legend(handles=handles, loc="outside upper left", ncols=legend_columns, borderaxespad=0.2)
    for label in legend.get_texts():
        label.set_parse_math(False)
    text = textwrap.fill(caption(comparison), round(width * 21.5))
    figure.supxlabel(text, fontsize=6.5, color=GRAY, x=0.01, ha="left", parse_math=False)
