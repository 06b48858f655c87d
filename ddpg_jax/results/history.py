"""What run folders hold of their training: settings, rows of metrics, and the curve of each seed.

The rows of a run are in metrics.jsonl. Those of a sweep are in curves.jsonl, and each trial counts as a run.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.config import env_options
from ddpg_jax.runs.metrics import Row, read_rows
from ddpg_jax.runs.named import Kind
from ddpg_jax.runs.reading import reads_again
from ddpg_jax.runs.stored_run import Run, read_run
from ddpg_jax.sweeps.curves import read_trials


class History(NamedTuple):
    """A run as far as it got."""

    run: Run
    rows: list[Row]  # as in metrics.jsonl

    def is_timed(self) -> bool:
        """Returns whether every row has a time of its own; those of `save_run` and of a sweep's trials have 0."""
        return all(row["seconds"] for row in self.rows)

    def task(self) -> dict[str, Any]:
        """Returns what is to be learned: the environment, its code if it is one's own, and its options."""
        return {"env": self.run.spec.name} | self._code("env") | env_options(self.run.run)

    def settings(self) -> dict[str, Any]:
        """Returns what decides how it is learned: the algorithm's code if it is one's own, and all of its settings."""
        return self._code("algorithm") | vars(self.run.loop) | vars(self.run.config)

    def _code(self, kind: Kind) -> dict[str, str]:
        code = self.run.codes.get(kind)
        return {"code": code.sha256[:8]} if code else {}


class Trace(NamedTuple):
    """A quantity of one seed, where it was measured."""

    seed: int
    x: np.ndarray  # [n], ascending
    y: np.ndarray  # [n], finite
    diverged_at: float | None  # the x of the first evaluation that was not finite
    end: float  # the x of the last row


@reads_again
def read_history(folder: str | Path | Run) -> History:
    """Reads a run folder; one that is still training or was interrupted has the rows so far, perhaps none.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, or a file in it is damaged.
    """
    run = read_run(folder)
    return History(run, read_rows(run.folder / "metrics.jsonl", run.run.seeds))


@reads_again
def read_histories(folder: str | Path | Run) -> list[History]:
    """Reads the run of a folder, or each trial of a sweep's folder.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, a file in it is damaged, or nothing has been measured yet.
    """
    history = read_history(folder)
    found = [History(*trial) for trial in read_trials(history.run)] if history.run.kind == "sweep" else [history]
    if not any(one.rows for one in found):
        raise SettingError(f"{history.run.folder} has no evaluation yet, so that there is nothing to draw.")
    return found


def quantities(rows: list[Row]) -> list[str]:
    """Returns the names of what was measured: the returns first, then by name."""
    names = {name for row in rows for name, value in row.items() if isinstance(value, list)}
    return sorted(
        names, key=lambda name: ("return" not in name, not name.startswith("eval"), "length" not in name, name)
    )


def diverged_seeds(history: History) -> dict[int, float]:
    """Returns the seeds that diverged, with the steps of their first evaluation that was not finite.

    From then on metrics.jsonl has no evaluation of theirs; other gaps are quantities that a chunk did not measure.
    """
    every = traces(history, "steps", "eval_return")
    return {trace.seed: trace.diverged_at for trace in every if trace.diverged_at is not None}


def traces(history: History, x: str, y: str) -> list[Trace]:
    """Returns a quantity of every seed against an x axis."""
    rows = history.rows
    axis = np.array([row[x] for row in rows], float)
    found = []
    for index, seed in enumerate(history.run.run.seed_numbers()):
        finite = [row["eval_return"][index] is not None for row in rows]
        first_gap = next((at for at in range(len(rows)) if not any(finite[at:])), None)
        values = np.array([row[y][index] if y in row else None for row in rows], float)
        measured = np.isfinite(values)
        diverged_at = None if first_gap is None else float(axis[first_gap])
        end = float(axis[-1]) if rows else math.nan
        found.append(Trace(seed, axis[measured], values[measured], diverged_at, end))
    return found
