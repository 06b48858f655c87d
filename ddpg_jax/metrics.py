"""From (sum, count) pairs on the device to lines in a file, once a chunk."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.settings import SettingError


def row(steps: int, updates: int, seconds: float, measured: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics.jsonl: totals per seed so far, and each quantity as a list over seeds (None: not measured)."""
    lists = {name: [number(value) for value in np.asarray(values)] for name, values in measured.items()}
    return {"steps": steps, "updates": updates, "seconds": round(seconds, 3), **lists}


def number(value: Any) -> float | None:
    """A finite float, or None, since JSON knows no other."""
    return float(value) if math.isfinite(value) else None


class Writer:
    """Appends rows to metrics.jsonl and to TensorBoard event files, a tag per quantity and a run per seed.

    Args:
      folder: the run folder.
      seeds: their numbers.
      purge_step: environment steps beyond which TensorBoard is to forget what an earlier process wrote.
    """

    def __init__(self, folder: Path, seeds: list[int], purge_step: int | None = None):
        from tensorboardX import SummaryWriter

        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._boards = [
            SummaryWriter(str(folder / "tensorboard" / f"seed{seed}"), purge_step=purge_step) for seed in seeds
        ]

    def write(self, row: dict[str, Any]) -> None:
        """Writes and flushes one row, so that a reader sees the run as it goes."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, values in row.items():
            if isinstance(values, list):
                for board, value in zip(self._boards, values, strict=True):
                    if value is not None:
                        board.add_scalar(name, value, row["steps"])

    def keep(self) -> None:
        """Brings what was written to the disk, before a checkpoint that relies on it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes every file."""
        self._file.close()
        for board in self._boards:
            board.close()


def cut(folder: Path, steps: int) -> float:
    """Drops the rows beyond so many steps, which a run that goes on writes anew; returns the seconds of the last."""
    if not (folder / "metrics.jsonl").exists():  # the best of a sweep, whose lines are in curves.csv
        return 0.0
    rows = [row for row in read(folder, interrupted=True) if row["steps"] <= steps]
    beside = folder / "metrics.jsonl.new"
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    beside.replace(folder / "metrics.jsonl")
    return rows[-1]["seconds"] if rows else 0.0


def read(folder: Path, interrupted: bool = False) -> list[dict[str, Any]]:
    """The rows of a run folder's metrics.jsonl.

    Args:
      folder: the run folder.
      interrupted: the last line may be half a line.

    Raises:
      SettingError: a line is damaged.
    """
    path, rows = folder / "metrics.jsonl", []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if not (interrupted and number == len(lines)):
                raise SettingError(f"{path} is damaged in line {number}.") from None
    return rows
