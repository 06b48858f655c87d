"""A run as it goes: a live line on a terminal, plain lines elsewhere."""

from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """A context whose `announce` and `report` `run_experiment` calls."""

    def __init__(self, console: Console):
        self.console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps per seed"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("training", total=None, state="", visible=False)
        self._previous: dict[str, Any] | None = None

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.stop()

    def announce(self, words: str) -> None:
        """Prints a line above the live one."""
        self.console.print(words, highlight=False, soft_wrap=True)

    def report(self, row: dict[str, Any], plan: Any) -> None:
        """Shows the newest row of metrics."""
        rates = ""
        if self._previous:
            seeds, before = len(row["eval_return"]), self._previous
            seconds = max(row["seconds"] - before["seconds"], 1e-9)
            rates = ", ".join(
                f"{(row[name] - before[name]) * seeds / seconds:,.0f} {name}/s" for name in ("steps", "updates")
            )
        returns = np.array([value for value in row["eval_return"] if value is not None])
        dead = len(row["eval_return"]) - len(returns)
        state = f"return {returns.mean():,.1f} ({returns.min():,.1f} to {returns.max():,.1f})" if len(returns) else ""
        state += f"{f', {dead} diverged' if dead else ''}  {rates}"
        total = plan.steps(plan.bounds[-1])
        if self.console.is_terminal:
            self._progress.update(self._task, completed=row["steps"], total=total, state=state, visible=True)
        else:
            self.announce(f"{row['steps']:>9,} of {total:,} steps  {row['seconds']:7.1f} s  {state}")
        self._previous = row
