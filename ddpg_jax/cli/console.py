"""Printing: text as it is, tables of rounded numbers, and no error when output is piped to a closed reader."""

import math
import os
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddpg_jax.cli.printable import printable
from ddpg_jax.results.labels import cell


class _Console(Console):
    """A console that becomes silent, and does not end the process, when the reader of a pipe has closed it."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output()


def console(**options: Any) -> Console:
    """A console that prints text as it is: `[red]` or `:smile:` in the name of a folder is part of the name.

    Args:
      options: as for `rich.console.Console`.
    """
    return _Console(markup=False, emoji=False, highlight=False, **options)


def discard_output() -> None:
    """Redirects standard output to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush_output() -> None:
    """Writes what was printed; of a pipe that nobody reads, Python would complain when it exits."""
    try:
        print(end="", flush=True)
    except BrokenPipeError:
        discard_output()


def print_error(words: str) -> None:
    """Prints a line to standard error, at once."""
    print(words, file=sys.stderr, flush=True)


def print_line(words: object, to: Console | None = None) -> None:
    """Prints one line, which a narrow terminal wraps and which stays one line in a pipe."""
    (to or console()).print(Text(printable(words)), soft_wrap=True)


def table(title: str, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table with numbers as people read them."""
    shown = Table(title=title)
    for head in heads:
        shown.add_column(head, justify="right")
    for row in rows:
        shown.add_row(*map(cell, row))
    return shown


def evaluation_table(title: str, seeds: list[dict[str, Any]]) -> Table:
    """A line per seed of an evaluation, as `summarize` returns them."""
    rows = [{name: math.nan if value is None else value for name, value in seed.items()} for seed in seeds]
    for row, seed in zip(rows, seeds, strict=True):
        row["seed"] = str(seed["seed"])
        if "diverged" in seed:
            row["diverged"] = seed["diverged"] or "no"
    return table(title, rows[0], (row.values() for row in rows))
