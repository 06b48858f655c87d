"""`ddpg-jax plot` and `report`: a run after it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table
from typing_extensions import Doc

from ddpg_jax.cli.display import short


def plot(
    folders: Annotated[tyro.conf.Positional[tuple[Path, ...]], Doc("run folders; seeds of equal settings are joined")],
    out: Annotated[Path, Doc("picture to make: .png, .svg or .pdf")] = Path("figure.png"),
    x: Annotated[Literal["steps", "updates", "seconds"], Doc("clock")] = "steps",
    y: Annotated[str, Doc("quantity of metrics.jsonl")] = "eval_return",
    overwrite: Annotated[bool, Doc("replace the picture")] = False,
) -> Callable[[], None]:
    """`plot RUN [RUN ...]`."""
    return lambda: run_plot(folders, out, x, y, overwrite)


def run_plot(folders: tuple[Path, ...], out: Path, x: str, y: str, overwrite: bool) -> None:
    """Draws, and prints where the curves end."""
    from ddpg_jax.results.plot import plot

    comparison = plot(folders, out, x, y, overwrite)
    table = Table(title=f"{y}, interquartile mean, 95% interval")
    for head in ("task", "method", "seeds", "diverged", x, "iqm", "low", "high"):
        table.add_column(head)
    for group in comparison.groups:
        ends = (short(value[-1]) for value in (group.x, group.iqm, group.low, group.high))
        table.add_row(group.task, group.method, str(len(group.seeds)), str(len(group.diverged)), *ends)
    console = Console()
    console.print(table)
    console.print(f"{out}", soft_wrap=True)


def report(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    out: Annotated[Path | None, Doc("page to make; by default report-RUN.html beside the folder")] = None,
    pictures: Annotated[bool, Doc("play and film episodes, if the environment can be drawn")] = True,
    overwrite: Annotated[bool, Doc("replace the page")] = False,
) -> Callable[[], None]:
    """`report RUN`."""
    return lambda: run_report(folder, out, pictures, overwrite)


def run_report(folder: Path, out: Path | None, pictures: bool, overwrite: bool) -> None:
    """Writes the page and prints where it is."""
    from ddpg_jax.results.report import report

    Console().print(str(report(folder, out, pictures, overwrite)), soft_wrap=True)
