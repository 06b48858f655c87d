"""progress.json and the checkpoints of a sweep: which parts are finished, and the state of the part in training.

progress.json is written when a part is finished. Within a part a checkpoint has the states of the trials in training,
and its metadata the progress at that moment. So a sweep that ended anywhere is resumed without a difference.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ddpg_jax.core.types import TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.runs.checkpoint import (
    DAMAGED,
    Checkpoints,
    Damaged,
    checkpoints_folder,
    read_metadata,
    saved_steps,
    set_aside,
)
from ddpg_jax.runs.checksum import json_checksum
from ddpg_jax.runs.evaluation import read_rows_of_seeds
from ddpg_jax.runs.json_values import Value, read_json
from ddpg_jax.runs.monitor import Callbacks, CheckpointClock
from ddpg_jax.runs.plan import Plan
from ddpg_jax.runs.run_folder import write_json
from ddpg_jax.sweeps.curves import CurveWriter
from ddpg_jax.sweeps.search_space import read_trial
from ddpg_jax.sweeps.task import Task, TrialResult

PROGRESS = "progress.json"


class Progress(NamedTuple):
    """How far a sweep has come."""

    parts: int = 0  # that are finished
    vector_step: int | None = None  # of the part in training; None before its first checkpoint
    active: Sequence[int] = ()  # the trials of that part that are in training
    ended: Sequence[TrialResult] = ()  # of all parts
    best: TrialResult | None = None  # of the parts that are finished
    lines: int = 0  # of curves.jsonl


class Keeper:
    """Saves the progress of a sweep in training, and asks whether it is to stop.

    Args:
      contents: of config.json.
      progress: where it begins.
    """

    def __init__(
        self, task: Task, contents: dict[str, Any], writer: CurveWriter, callbacks: Callbacks, progress: Progress
    ):
        self._task, self._contents, self._writer, self._callbacks = task, contents, writer, callbacks
        self.progress = progress
        self._checkpoints: Checkpoints | None = None
        self._clock = CheckpointClock(task.run)
        self._diverged: set[tuple[int, int]] = set()  # trial and seed

    def due(self, steps: int) -> bool:
        """Whether a checkpoint is due at so many environment steps of a part."""
        return self._clock.due(steps)

    def stopping(self) -> bool:
        """Whether the sweep is to stop, in any process."""
        return self._callbacks.stopping()

    def say_diverged(self, plan: Plan, active: Sequence[int], diverged: dict[int, tuple[int, str]]) -> None:
        """Says of each trial in training which of its seeds have diverged, each seed once.

        Args:
          diverged: as in `ChunkResult`, of the seeds of all active trials.
        """
        run = self._task.run
        found: dict[int, list[str]] = {}
        for index, (step, what) in diverged.items():
            trial, seed = active[index // run.seeds], run.seed + index % run.seeds
            if (trial, seed) not in self._diverged:
                found.setdefault(trial, []).append(f"seed {seed} at {plan.steps(step):,} steps ({what} is not finite)")
                self._diverged.add((trial, seed))
        for trial, seeds in found.items():
            self._callbacks.say(f"trial {trial} diverged and counts as the worst: {', '.join(seeds)}")

    def save(self, part: int, vector_step: int, steps: int, progress: Progress, state: TrainState) -> None:
        """Writes the states of the trials in training as a checkpoint."""
        self.progress = progress._replace(parts=part, vector_step=vector_step, lines=self._writer.sync())
        contents = self._contents | {"progress": self._plain()}
        self.close()
        self._checkpoints = Checkpoints(self._task.run.folder, 1, contents)
        self._checkpoints.save(vector_step, state, float(vector_step))
        self._clock.saved(steps)

    def finish_part(self, progress: Progress) -> None:
        """Writes that a part is finished, and deletes its checkpoints."""
        self.close()
        self.progress = progress._replace(vector_step=None, active=(), lines=self._writer.sync())
        self._clock.saved(0)
        multihost.on_main(self._write)

    def close(self) -> None:
        """Waits until everything is written."""
        if self._checkpoints:
            self._checkpoints.close()
        self._checkpoints = None

    def _write(self) -> None:
        folder = self._task.run.folder
        contents = self._contents | {"progress": json.loads(json.dumps(self._plain()))}
        write_json(folder / PROGRESS, contents | {"checksum": json_checksum(contents)})
        shutil.rmtree(checkpoints_folder(folder), ignore_errors=True)

    def _plain(self) -> dict[str, Any]:
        ended = [one._asdict() for one in self.progress.ended]
        best = self.progress.best and self.progress.best._asdict()
        trials = {"trials": self._task.trials, "parents": {str(k): v for k, v in self._task.parents.items()}}
        return self.progress._asdict() | {"active": list(self.progress.active), "ended": ended, "best": best} | trials


def read_progress(folder: Path, task: Task, parts: int) -> tuple[Progress, Task, dict[str, Any]]:
    """Reads how far a sweep has come, from its newest checkpoint or progress.json.

    Args:
      task: of the sweep as it began.
      parts: how many parts it has.

    Returns:
      the progress; the task with the trials that population based training has made since; and the contents that
      config.json had then.

    Raises:
      SettingError: what is there cannot be used; the message names it.
    """
    finished: tuple[Progress, Task, dict[str, Any]] = (Progress(), task, {})
    if (folder / PROGRESS).exists():
        finished = _progress(_checked(read_json(folder / PROGRESS)), task, parts)
    for vector_step in reversed(saved_steps(folder)):
        try:
            config = read_metadata(folder, vector_step).config
        except Damaged:
            continue
        found = _progress(Value(checkpoints_folder(folder) / str(vector_step), "", config), task, parts)
        if found[0].parts == finished[0].parts and found[0].vector_step == vector_step:
            return found
    return finished


def clear_checkpoints(folder: Path, kept: int | None, say: Callable[[str], None]) -> None:
    """Makes room for the next checkpoints of a sweep, since none of fewer steps than there are can be written.

    Args:
      folder: of the sweep.
      kept: the vector step of the checkpoint that it is resumed from; None: of none.
      say: called with a sentence about each that is damaged, which is moved to checkpoints-damaged; others are of a
        part that is finished, and deleted.
    """
    for vector_step in saved_steps(folder):
        if kept is not None and vector_step <= kept:
            continue
        try:
            read_metadata(folder, vector_step)
        except Damaged as error:
            say(f"{error} It is moved to {DAMAGED}.")
            set_aside(folder, vector_step)
        else:
            shutil.rmtree(checkpoints_folder(folder) / str(vector_step))


def _checked(document: Value) -> Value:
    """Returns the contents of progress.json without its checksum, which must fit."""
    fields = document.object({"progress", "checksum"})
    rest = {name: value for name, value in document.value.items() if name != "checksum"}
    if fields["checksum"].integer(high=2**32 - 1) != json_checksum(rest):
        raise fields["checksum"].refuse(f"{json_checksum(rest)}, the checksum of the rest of the file")
    return document._replace(value=rest)


def _progress(document: Value, task: Task, parts: int) -> tuple[Progress, Task, dict[str, Any]]:
    fields = document.fields()
    if "progress" not in fields:
        raise document.refuse("that of a sweep, with its progress")
    mine = fields["progress"].object({*Progress._fields, "trials", "parents"}, set())
    trials = [read_trial(trial, task.config, task.loop) for trial in mine["trials"].items()]
    if trials[: len(task.trials)] != task.trials:
        raise mine["trials"].refuse("those of config.json")
    parents = mine["parents"].fields()
    if set(parents) != {str(trial) for trial in range(len(task.trials), len(trials))}:
        raise mine["parents"].refuse("an object with the parent of each trial that is not in config.json")

    def result(value: Value) -> TrialResult:
        one = value.object(set(TrialResult._fields), set())
        rows = read_rows_of_seeds(one["seeds"], task.run)
        trial = one["trial"].integer(high=len(trials) - 1)
        return TrialResult(trial, one["steps"].integer(), rows, one["finished"].boolean())

    progress = Progress(
        parts=mine["parts"].integer(high=parts),
        vector_step=mine["vector_step"].optional(Value.integer),
        active=[trial.integer(high=len(trials) - 1) for trial in mine["active"].items()],
        ended=[result(one) for one in mine["ended"].items()],
        best=mine["best"].optional(result),
        lines=mine["lines"].integer(),
    )
    made = {int(name): value.integer(high=len(trials) - 1) for name, value in parents.items()}
    contents = {name: value for name, value in document.value.items() if name != "progress"}
    return progress, task._replace(trials=trials, parents=made), contents


def resumable(folder: Path) -> bool:
    """Whether a sweep has saved anything yet."""
    return bool(saved_steps(folder)) or (folder / PROGRESS).exists()
