"""A run as it goes: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

# What a person looks at first; whatever else a run measures follows under its own name.
NAMES = {
    "eval_return": "return",
    "eval_length": "episode length",
    "episode_return": "return while exploring",
    "eval_q": "Q at the start of an episode",
    "eval_discounted": "achieved from there, discounted",
    "overestimation": "overestimation",
    "critic/loss": "critic loss",
    "actor/loss": "actor loss",
    "eval_saturation": "saturated decisions",
    "noise_scale": "noise scale",
}
TOTALS = ("steps", "updates", "seconds")


def quantities(row: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """What a row says, under names for a person: (name, values of the seeds that are alive and measured it)."""
    measured = {name: np.array(values, float) for name, values in row.items() if name not in TOTALS}
    if {"eval_q", "eval_discounted"} <= measured.keys():
        measured["overestimation"] = measured["eval_q"] - measured["eval_discounted"]
    for name in [*NAMES, *sorted(measured.keys() - NAMES.keys() - {"episode_length"})]:
        values = measured.get(name, np.array([]))
        if np.isfinite(values).any():
            yield NAMES.get(name, name), values[np.isfinite(values)]


def rates(row: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    """Environment steps and updates per second since the row before, summed over seeds."""
    if previous is None:
        return ""
    seeds, seconds = len(row["eval_return"]), max(row["seconds"] - previous["seconds"], 1e-9)
    return ", ".join(f"{(row[name] - previous[name]) * seeds / seconds:,.0f} {name}/s" for name in ("steps", "updates"))


def returns(row: Mapping[str, Any]) -> str:
    """The mean return and its spread over seeds, and how many have diverged."""
    alive = np.array([value for value in row["eval_return"] if value is not None])
    dead = len(row["eval_return"]) - len(alive)
    said = f"return {alive.mean():,.1f} ({alive.min():,.1f} to {alive.max():,.1f})" if len(alive) else ""
    return said + (f", {dead} diverged" if dead else "")


class Display:
    """A context whose `log` and `on_chunk` `run_experiment` calls."""

    def __init__(self, console: Console):
        self.console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps per seed"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rates]}"),
            console=console,
        )
        self._task = self._progress.add_task("training", total=None, rates="", visible=False)
        # Drawing takes milliseconds of a core that trains: at most the time left moves between two rows
        self._live = Live(self._progress, console=console, refresh_per_second=1) if console.is_terminal else None
        self._previous: Mapping[str, Any] | None = None

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live:
            self._live.stop()

    def log(self, words: str) -> None:
        """Prints a line above the live table."""
        self.console.print(words, highlight=False, soft_wrap=True)

    def on_chunk(self, row: dict[str, Any], plan: Any) -> None:
        """Shows the newest row of metrics."""
        speed, total = rates(row, self._previous), plan.steps(plan.bounds[-1])
        self._previous = row
        if self._live:
            self._progress.update(self._task, completed=row["steps"], total=total, rates=speed, visible=True)
            self._live.update(Group(table(row), self._progress))
        else:
            self.log(f"{row['steps']:>9,} of {total:,} steps  {row['seconds']:7.1f} s  {returns(row)}  {speed}")


def table(row: Mapping[str, Any]) -> Table:
    """A line per quantity: its mean over seeds and, of several, its least and greatest."""
    shown = Table(box=None, padding=(0, 2), title=returns(row), title_justify="left")
    for head in ("", "mean", "least", "greatest"):
        shown.add_column(head, justify="right" if head else "left")
    for name, values in quantities(row):
        spread = [values.min(), values.max()] if len(values) > 1 else []
        shown.add_row(name, *(short(value) for value in (values.mean(), *spread)))
    return shown


def short(value: float) -> str:
    """A number with as many digits as a table needs."""
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
