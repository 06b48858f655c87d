"""Rows of metrics.jsonl: made from what was measured, written as JSON lines, and checked as they are read."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.core.settings import INT32, SettingError
from ddpg_jax.runs.files import atomic_write, read_bytes
from ddpg_jax.runs.json_values import Value, parse_json

X_AXES = ("steps", "updates", "seconds")
# Of a row; everything else in it is a list over seeds. Rows of old runs have no compile_seconds.
SCALARS = (*X_AXES, "compile_seconds")
Row = dict[str, Any]


def make_row(steps: int, updates: int, seconds: float, compile_seconds: float, metrics: Mapping[str, Any]) -> Row:
    """Returns a row of metrics.jsonl: totals per seed so far, and each quantity as a list over seeds.

    `seconds` are those since the run began, and `compile_seconds` those of them in which programs were compiled.

    An item is None where a quantity was not measured or is not finite, since JSON knows no NaN.
    """
    lists = {name: [finite_or_none(value) for value in np.asarray(values)] for name, values in metrics.items()}
    spent = {"seconds": round(seconds, 3), "compile_seconds": round(compile_seconds, 3)}
    return {"steps": steps, "updates": updates, **spent, **lists}


def finite_or_none(value: Any) -> float | None:
    """Returns a finite value as a float, and None for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def to_lines(rows: Sequence[Row]) -> bytes:
    """Returns rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode("utf-8")


def read_rows(path: Path, seeds: int, kind: str = "run") -> list[Row]:
    """Reads and checks the rows of a metrics.jsonl, or of a sweep's curves.jsonl, which also name a trial.

    A last line without its newline is not whole yet and left out. Without the file there are no rows.

    Args:
      seeds: how many items every list must have.
      kind: "run" or "sweep".

    Raises:
      SettingError: a line is damaged or of another run; the message names it.
    """
    try:
        lines = read_bytes(path).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}).") from None
    last: dict[int, int] = {}  # trial -> steps of its newest row
    rows = []
    for number, line in enumerate(lines, 1):
        value = parse_json(path, f"line {number}: ", line)
        row = _checked_row(value, seeds, {"trial", "values"} if kind == "sweep" else set())
        if row["steps"] <= last.get(row.get("trial", 0), -1):
            raise value.at("steps", row["steps"]).refuse("above the steps of the line before")
        last[row.get("trial", 0)] = row["steps"]
        rows.append(row)
    return rows


def _checked_row(value: Value, seeds: int, extra: set[str]) -> Row:
    fields = value.object({*X_AXES, "eval_return", *extra})
    row: Row = {"steps": fields["steps"].integer(), "updates": fields["updates"].integer()}
    row |= {name: fields[name].number() for name in ("seconds", "compile_seconds") if name in fields}
    for name in fields.keys() - {*SCALARS, *extra}:
        items = fields[name].items()
        if len(items) != seeds:
            raise fields[name].refuse(f"a list with a number or null for each of {seeds} seeds")
        row[name] = [item.optional(Value.number) for item in items]
    if extra:
        row |= {"trial": fields["trial"].integer(high=INT32), "values": fields["values"].fields()}
    return {name: row[name] for name in fields}


def spent(rows: Sequence[Row]) -> tuple[float, float]:
    """Returns the seconds that a run had taken at its last row, and those of them in which programs were compiled."""
    last = rows[-1] if rows else {}
    return last.get("seconds", 0.0), last.get("compile_seconds", 0.0)


def drop_rows_after(folder: Path, steps: int, seeds: int) -> tuple[float, float]:
    """Drops the rows beyond so many steps, which a resumed run writes anew.

    Returns:
      what `spent` says of the rows that stay.
    """
    path = folder / "metrics.jsonl"
    rows = [row for row in read_rows(path, seeds) if row["steps"] <= steps]
    atomic_write(path, to_lines(rows))
    return spent(rows)
