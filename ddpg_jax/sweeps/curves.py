"""curves.jsonl: a row per trial and evaluation, as in a run's metrics.jsonl, with its trial and values."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.devices import multihost
from ddpg_jax.runs import folders, metrics
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.files import atomic_write
from ddpg_jax.runs.json_values import Value
from ddpg_jax.runs.plan import Plan
from ddpg_jax.runs.stored_run import Run
from ddpg_jax.sweeps.search_space import applied, on_device
from ddpg_jax.sweeps.task import Part, Task

CURVES = "curves.jsonl"


class CurveWriter:
    """Appends a JSON line per trial and evaluation to curves.jsonl: a row as in metrics.jsonl, its trial and values.

    Args:
      file: the open file.
      task: the sweep.
      on_chunk: called with the same evaluation as one row over the seeds of all trials.
      clock: of the sweep.
      check_present: raises SettingError, here and in every method, if the folder of the sweep is gone.
      lines: how many the file has.
    """

    def __init__(
        self,
        file: IO[bytes],
        task: Task,
        on_chunk: Callable[[dict[str, Any], Plan], None] | None,
        clock: Clock,
        check_present: Callable[[], None],
        lines: int = 0,
    ):
        self._file, self._task, self._on_chunk, self._lines = file, task, on_chunk, lines
        self.clock, self._check_present = clock, check_present

    def write(self, part: Part, vector_step: int, active: Sequence[int], measured: dict[str, Any]) -> None:
        """Writes and flushes an evaluation of the trials in training; `measured` [trials * seeds] of each quantity."""
        self.check_present()
        plan, seeds = part.plan, self._task.run.seeds
        clock = (plan.steps(vector_step), plan.updates(vector_step), *self.clock.read())
        rows = []
        for index, trial in enumerate(active):
            own = {name: np.asarray(values)[index * seeds : (index + 1) * seeds] for name, values in measured.items()}
            rows.append({"trial": trial, "values": self._task.trials[trial]} | metrics.make_row(*clock, own))
        self._file.write(metrics.to_lines(rows))
        self._file.flush()
        self._lines += len(rows)
        if self._on_chunk:
            self._on_chunk(metrics.make_row(*clock, measured), plan)

    def check_present(self) -> None:
        """Checks, before anything is written or deleted, that it is still the folder of this sweep."""
        multihost.on_main(self._check_present)

    def sync(self) -> int:
        """Flushes to the disk, before a checkpoint that relies on the lines; returns their number."""
        self.check_present()
        if multihost.is_main():  # the others write to /dev/null
            os.fsync(self._file.fileno())
        return self._lines


def check_sweep_present(folder: Path, identity: folders.Identity, curves: folders.Identity) -> None:
    """Checks that nobody has deleted, moved or replaced the folder of a sweep in training.

    Args:
      identity, curves: of the folder and of its curves.jsonl. No other file has that of one that is open, while a
        folder may have that of a deleted one.

    Raises:
      SettingError: as for `folders.check_present`.
    """
    folders.check_present(folder, identity if folders.identify(folder / CURVES) == curves else None)


def keep_lines(folder: Path, lines: int, seeds: int) -> tuple[float, float]:
    """Drops all but the first lines of curves.jsonl, which a resumed sweep writes anew.

    Returns:
      what `metrics.spent` says of those that stay.

    Raises:
      SettingError: a line is damaged or missing.
    """
    path = folder / CURVES
    rows = metrics.read_rows(path, seeds, "sweep") if path.exists() else []
    if len(rows) < lines:
        raise SettingError(f"{path} must have the {lines:,} lines that were there when the sweep was saved.")
    atomic_write(path, b"".join(path.read_bytes().splitlines(keepends=True)[:lines]) if lines else b"")
    return metrics.spent(rows[:lines])


def read_trials(sweep: Run) -> list[tuple[Run, list[metrics.Row]]]:
    """Reads the trials of a sweep from its curves.jsonl: each as the run that it is, with its rows.

    Where some have equal settings, as in population based training, each has its number and values after the name of
    its algorithm, since equal ones are not more seeds of one run. As in `as_own_row`, they have no time of their own.

    Raises:
      SettingError: a line is damaged, or names settings or values that cannot be used.
    """
    path = sweep.folder / CURVES
    rows: dict[int, list[metrics.Row]] = {}
    for row in metrics.read_rows(path, sweep.run.seeds, "sweep") if path.exists() else []:
        rows.setdefault(row["trial"], []).append(row)
    for own in rows.values():
        for row in own:
            if {name: value.value for name, value in row["values"].items()} != {
                name: value.value for name, value in own[0]["values"].items()
            }:
                raise SettingError(f"{path}: trial {row['trial']} must have the same values in all of its lines.")
    runs = {trial: _as_run(sweep, own[0]["values"]) for trial, own in rows.items()}
    if len({on_device(vars(run.loop) | vars(run.config)) for run in runs.values()}) < len(runs):
        names = {trial: _name(sweep.algorithm, trial, own[0]["values"]) for trial, own in rows.items()}
        runs = {trial: run._replace(algorithm=names[trial]) for trial, run in runs.items()}
    return [(runs[trial], [as_own_row(row) for row in own]) for trial, own in rows.items()]


def _name(algorithm: str, trial: int, values: dict[str, Value]) -> str:
    """Returns the algorithm, the number of a trial and its values, which need not be told apart by their digits."""
    plain = {name: value.value for name, value in values.items()}
    shown = [f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in plain.items()]
    return ", ".join([algorithm, f"trial {trial}", *shown])


def _as_run(sweep: Run, values: dict[str, Value]) -> Run:
    """Returns the sweep as a run with the settings of one trial."""
    groups, trial = (sweep.config, sweep.loop), {}
    for name, value in values.items():
        kind = next((type(group) for group in groups if name in type(group).__dataclass_fields__), None)
        if kind is None:
            raise value.refuse("the value of a setting of the algorithm or the loop")
        trial[name] = value.setting(kind)
    try:
        config, loop = applied(trial, *groups)  # together, since the bounds of one may be another
    except SettingError as error:
        place = values.get(str(error).partition(" ")[0], next(iter(values.values())))
        raise SettingError(f"{place.file}: {place.place}: {error}") from None
    return sweep._replace(kind="run", config=config, loop=loop)


def as_own_row(row: metrics.Row) -> metrics.Row:
    """Returns a row of a trial as one of a run: its seconds are 0, since the clock is that of all trials together."""
    own = {name: value for name, value in row.items() if name not in ("trial", "values")}
    return own | {name: 0.0 for name in ("seconds", "compile_seconds") if name in own}
