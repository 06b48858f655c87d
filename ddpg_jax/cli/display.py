"""A run while it trains: a live table on a terminal, a line per chunk elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ddpg_jax.cli.console import print_error, print_line
from ddpg_jax.results.labels import NAMES, cell, named
from ddpg_jax.runs.clock import COMPILING
from ddpg_jax.runs.metrics import SCALARS
from ddpg_jax.runs.pace import duration, rates, seconds_left
from ddpg_jax.runs.plan import Plan
from ddpg_jax.runs.sinks import WARNING


def quantities(row: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The quantities of a row of metrics as (name in words, values of the seeds in which it was finite)."""
    measured = {name: np.array(values, float) for name, values in row.items() if name not in SCALARS}
    if {"eval_q", "eval_discounted"} <= measured.keys():
        measured["overestimation"] = measured["eval_q"] - measured["eval_discounted"]
    for name in [*NAMES, *sorted(measured.keys() - NAMES.keys() - {"episode_length"})]:
        values = measured.get(name, np.array([]))
        if np.isfinite(values).any():
            yield named(name), values[np.isfinite(values)]


def speed(row: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    """Environment steps and updates per second since the row before, summed over seeds, without compilation."""
    if previous is None:
        return ""
    steps, updates = rates(row, previous)
    seeds = " of all seeds" * (len(row["eval_return"]) > 1)
    return f"{steps:,.0f} env steps/s, {updates:,.0f} updates/s{seeds}"


def time_left(row: Mapping[str, Any], previous: Mapping[str, Any] | None, plan: Plan) -> str:
    """How long the run will still take, at its pace since the row before."""
    left = previous and seconds_left(row, previous, plan)
    return f"about {duration(left)} left" if left else ""


def returns(row: Mapping[str, Any]) -> str:
    """The mean return, its minimum and maximum over seeds, and how many seeds have diverged."""
    alive = np.array([value for value in row["eval_return"] if value is not None])
    diverged = len(row["eval_return"]) - len(alive)
    parts = [f"return {alive.mean():,.1f}"] if len(alive) else []
    if len(alive) > 1:
        parts = [f"{parts[0]} ({alive.min():,.1f} to {alive.max():,.1f})"]
    return ", ".join([*parts, *([f"{diverged} diverged"] if diverged else [])])


class Display:
    """A context whose `log` and `on_chunk` are given to `run_experiment`."""

    def __init__(self, console: Console):
        self.console = console
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps per seed"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[speed]}"),
            console=console,
        )
        self._task = self._progress.add_task("", total=None, left="", speed="", visible=False)
        self._compiling = Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=console)
        self._table: Table | None = None
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
        """Prints a line, above the live table where there is one; a warning to standard error.

        On a terminal, what is being compiled is a line below with its time, which goes when the next line comes.
        """
        if self._live and words.startswith(COMPILING):
            self._count_up(words.partition(":")[0])
            return
        if self._live:
            self._count_up(None)
        if words.startswith(WARNING):
            print_error(words)
        else:
            print_line(words, self.console)

    def on_chunk(self, row: dict[str, Any], plan: Plan) -> None:
        """Shows the newest row of metrics; where its steps begin anew, as in every part of a sweep, without a speed."""
        previous = self._previous if self._previous and self._previous["steps"] < row["steps"] else None
        pace, left = speed(row, previous), time_left(row, previous, plan)
        total, self._previous = plan.steps(plan.bounds[-1]), row
        if self._live:
            done = {"completed": row["steps"], "total": total}
            self._progress.update(self._task, **done, left=left, speed=pace, visible=True)
            self._table = chunk_table(row)
            self._draw()
        else:
            parts = (f"{row['steps']:>9,} of {total:,} steps", f"{row['seconds']:7.1f} s", returns(row), pace, left)
            self.log("  ".join(filter(None, parts)))

    def _count_up(self, words: str | None) -> None:
        """Shows words with the time since they were first shown; None: none."""
        if [task.description for task in self._compiling.tasks] != [words]:
            for task in self._compiling.task_ids:
                self._compiling.remove_task(task)
            if words:
                self._compiling.add_task(words, total=None)
            self._draw(refresh=True)

    def _draw(self, refresh: bool = False) -> None:
        assert self._live
        shown = (self._table, self._progress, self._compiling if self._compiling.tasks else None)
        self._live.update(Group(*(part for part in shown if part)), refresh=refresh)


def chunk_table(row: Mapping[str, Any]) -> Table:
    """A line per quantity: its mean over seeds and, where there are several, its minimum and maximum."""
    shown = Table(box=None, padding=(0, 2), title=Text(returns(row)), title_justify="left")
    for head in ("", "mean", "min", "max"):
        shown.add_column(head, justify="right" if head else "left")
    for name, values in quantities(row):
        spread = [values.min(), values.max()] if len(values) > 1 else []
        shown.add_row(Text(name), *map(cell, (values.mean(), *spread)))
    return shown
