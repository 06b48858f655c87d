"""What a sweep writes at its end: sweep.csv, sweep.png and the best trial as a run."""

import csv
import dataclasses
import io
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.runs import figures, metrics, run_folder
from ddpg_jax.runs.checkpoint import save_state
from ddpg_jax.runs.contents import LOCK, foreign_entry
from ddpg_jax.runs.evaluation import write_evaluation
from ddpg_jax.runs.files import atomic_write, is_temporary
from ddpg_jax.runs.folders import locked
from ddpg_jax.runs.json_values import read_json
from ddpg_jax.sweeps.curves import CURVES, as_own_row
from ddpg_jax.sweeps.search_space import applied
from ddpg_jax.sweeps.task import Part, Task, TrialResult

# What is in the folder of the best trial.
WRITTEN = {LOCK, "config.json", "metrics.jsonl", "evaluation.json", "checkpoints", "code"}


def write_tables(task: Task, ended: list[TrialResult]) -> list[dict[str, Any]]:
    """Writes sweep.csv, a line per seed of a trial, and sweep.png; returns a row per trial, the best first."""
    folder, trials = task.run.folder, task.trials
    lines = [
        {"trial": one.trial, "parent": task.parents.get(one.trial), **trials[one.trial], **row}
        | {"steps": one.steps, "finished": one.finished}
        for one in sorted(ended, key=lambda one: one.trial)
        for row in one.seeds
    ]
    ranked = sorted(ended, key=_rank, reverse=True)
    table = [{"trial": one.trial, **trials[one.trial], "steps": one.steps} | one.interval()._asdict() for one in ranked]
    if multihost.is_main():
        figures.sweep(trials, table, folder / "sweep.png")
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, lines[0])
        writer.writeheader()
        writer.writerows(lines)
        atomic_write(folder / "sweep.csv", text.getvalue().encode("utf-8"))
    return table


def _rank(one: TrialResult) -> tuple[Any, ...]:
    """Returns what trials are sorted by: those that were stopped earlier are below those that were trained longer.

    Finished ones have equal rank in this: their steps may differ by rounding up to whole steps of all environments.
    """
    return one.finished, 0 if one.finished else one.steps, one.interval()


def write_best(task: Task, best: TrialResult, part: Part, state: TrainState, say: Callable[[str], None]) -> None:
    """Writes the seeds of the best trial as a run folder, for `evaluate`, `load_policy` and `train --resume`."""
    folder, (config, loop) = task.run.folder / "best", applied(task.trials[best.trial], task.config, task.loop)
    data_shards = part.layout.data_shards  # by which the replay is sharded, also when the run is resumed
    devices = task.run.seeds * data_shards if data_shards > 1 else None
    run = dataclasses.replace(task.run, out=folder, seed_mapping=part.layout.mapping, devices=devices)
    state = dataclasses.replace(state, hyperparams={})  # they are in its config
    contents = run_folder.config_dict(task.algorithm.name, run, loop, config, task.env.spec, code=task.code)
    if multihost.is_main():
        _make_empty(folder, task.run.steps, say)
        run_folder.write_config(folder, contents, task.code)
        write_evaluation(folder, run.eval_episodes, best.seeds)
        _write_own_rows(folder, best.trial)
    save_state(folder, part.plan.bounds[-1], state, contents)


def _make_empty(folder: Path, steps: int, say: Callable[[str], None]) -> None:
    """Makes the folder of the best trial anew; an earlier one, of another part or of a killed process, is deleted.

    Args:
      steps: of a trial; an earlier one with more, with another's files or in use is renamed instead.
      say: called with a sentence about that.
    """
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists() and not _is_as_written(folder, steps):
        names = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(1))
        kept = next(path for path in names if not os.path.lexists(path))
        folder.rename(kept)
        say(f"{folder} has been used since the sweep wrote it, so it is kept as {kept}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _is_as_written(folder: Path, steps: int) -> bool:
    """Whether a folder has nothing but what `write_best` writes, and nobody trains or has trained in it."""
    config = folder / "config.json"
    try:
        names = [path.name for path in folder.iterdir()]
        if not all(name in WRITTEN or is_temporary(name, WRITTEN) for name in names) or foreign_entry(folder):
            return False
        with locked(folder):
            if not config.exists():  # a process was killed before it had written it
                return True
            return read_json(config).object({"run"})["run"].object({"steps"})["steps"].value == steps
    except (SettingError, OSError):
        return False


def _write_own_rows(folder: Path, trial: int) -> None:
    """Writes the metrics.jsonl of the best trial: its lines of curves.jsonl, without a time."""
    lines = (folder.parent / CURVES).read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["trial"] == trial]
    (folder / "metrics.jsonl").write_bytes(metrics.to_lines([as_own_row(row) for row in rows]))
