"""From (sum, count) pairs on the device to lines in a file, once a chunk."""

import json
import math
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.runs.files import atomic_write
from ddpg_jax.core.settings import SettingError


def row(steps: int, updates: int, seconds: float, measured: Mapping[str, Any]) -> dict[str, Any]:
    """A line of metrics.jsonl: totals per seed so far, and each quantity as a list over seeds (None: not measured)."""
    lists = {name: [number(value) for value in np.asarray(values)] for name, values in measured.items()}
    return {"steps": steps, "updates": updates, "seconds": round(seconds, 3), **lists}


def number(value: Any) -> float | None:
    """A finite float, or None, since JSON knows no other."""
    return float(value) if math.isfinite(value) else None


class Sink(NamedTuple):
    """Where the numbers of one seed go beside metrics.jsonl."""

    log: Callable[[dict[str, float], int], None]  # quantities, environment steps
    close: Callable[[], Any]


def board(folder: Path, seed: int, purge_step: int | None) -> Sink:
    """TensorBoard's event files of one seed, a tag per quantity."""
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard" / f"seed{seed}"), purge_step=purge_step)

    def log(values: dict[str, float], steps: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, steps)

    return Sink(log, writer.close)


def weights_and_biases(project: str, folder: Path, seed: int, config: dict[str, Any]) -> Sink:
    """A run of Weights & Biases for one seed, grouped by run folder; one that goes on is found again.

    With WANDB_MODE=offline it is kept in the run folder, for `wandb sync`.
    """
    import wandb

    told = folder / "wandb" / "token"
    if not told.exists():
        told.parent.mkdir(exist_ok=True)
        told.write_text(secrets.token_hex(4), encoding="utf-8")
    run = wandb.init(
        project=project,
        group=folder.name,
        name=f"{folder.name}-seed{seed}",
        id=f"{told.read_text(encoding='utf-8')}-{seed}",
        resume="allow",
        config=config,
        dir=folder,
        reinit="create_new",
        settings=wandb.Settings(silent=True),
    )
    return Sink(lambda values, steps: run.log(values, step=steps), run.finish)


class Writer:
    """Appends rows to metrics.jsonl, and what they say of each seed to its sinks.

    Args:
      folder: the run folder.
      sinks: a list per seed.
    """

    def __init__(self, folder: Path, sinks: Sequence[Sequence[Sink]]):
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._sinks = sinks

    def write(self, row: dict[str, Any]) -> None:
        """Writes and flushes one row, so that a reader sees the run as it goes."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        lists = {name: values for name, values in row.items() if isinstance(values, list)}
        for place, sinks in enumerate(self._sinks):
            known = {name: values[place] for name, values in lists.items() if values[place] is not None}
            for sink in sinks:
                sink.log(known, row["steps"])

    def keep(self) -> None:
        """Brings what was written to the disk, before a checkpoint that relies on it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes every file."""
        self._file.close()
        for sinks in self._sinks:
            for sink in sinks:
                sink.close()


def cut(folder: Path, steps: int) -> float:
    """Drops the rows beyond so many steps, which a run that goes on writes anew; returns the seconds of the last."""
    if not (folder / "metrics.jsonl").exists():  # the best of a sweep, whose lines are in curves.csv
        return 0.0
    rows = [row for row in read(folder, interrupted=True) if row["steps"] <= steps]
    atomic_write(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode("utf-8"))
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
