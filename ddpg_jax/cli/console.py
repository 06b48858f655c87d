"""Printing: text as it is, and tables of rounded numbers."""

import math
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddpg_jax.cli.printable import printable
from ddpg_jax.results.labels import cell


def console(**options: Any) -> Console:
    """A console that prints text as it is: `[red]` or `:smile:` in the name of a folder is part of the name.

    Args:
      options: as for `rich.console.Console`.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)


def print_error(words: str) -> None:
    """Prints a line to standard error, at once."""
    print(words, file=sys.stderr, flush=True)


def print_line(words: object, to: Console | None = None) -> None:
    """Prints one line, which a narrow terminal wraps and which stays one line in a pipe."""
    (to or console()).print(Text(printable(words)), soft_wrap=True)


def table(title: str, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table with numbers as people read them, and everything without a glyph as an escape."""
    shown = Table(title=printable(title))
    for head in heads:
        shown.add_column(printable(head), justify="right")
    for row in rows:
        shown.add_row(*(printable(cell(value)) for value in row))
    return shown


def evaluation_table(title: str, seeds: list[dict[str, Any]], best: int | None = None) -> Table:
    """A line per seed of an evaluation, as `summarize` returns them, with a mark at the best."""
    rows = [{name: math.nan if value is None else value for name, value in seed.items()} for seed in seeds]
    for row, seed in zip(rows, seeds, strict=True):
        row["seed"] = f"{seed['seed']}{' (best)' * (seed['seed'] == best and len(seeds) > 1)}"
        if seed.get("standard_error", 0) is None and seed["mean"] is not None:
            row["standard_error"] = "not known"
        if "diverged" in seed:
            row["diverged"] = seed["diverged"] or "no"
    return table(title, (name.replace("_", " ") for name in rows[0]), (row.values() for row in rows))
