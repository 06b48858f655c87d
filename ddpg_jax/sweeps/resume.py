"""Resuming a sweep from what its folder says of its progress."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.backend import refuse_exhaustion
from ddpg_jax.runs import run_folder
from ddpg_jax.runs.checkpoint import DAMAGED, Damaged, set_aside
from ddpg_jax.runs.contents import refuse_links_out
from ddpg_jax.runs.folders import locked, recover
from ddpg_jax.runs.json_values import Value
from ddpg_jax.runs.monitor import Callbacks
from ddpg_jax.runs.own_code import codes_of, refuse_changed
from ddpg_jax.runs.plan import Plan
from ddpg_jax.runs.stored_run import Run, read_run
from ddpg_jax.sweeps.progress import Progress, clear_checkpoints, read_progress
from ddpg_jax.sweeps.search_space import CompileGroup, Trial, compile_groups, read_trial
from ddpg_jax.sweeps.sweep import SweepResult, describe, plan_part, sweep_contents, train_parts
from ddpg_jax.sweeps.task import Part, Task
from ddpg_jax.sweeps.training import load_states


def resume_sweep(
    folder: str | Path | Run,
    follow_links: bool = False,
    log: Callable[[str], None] | None = print,
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SweepResult:
    """Resumes a sweep from where it was stopped or killed.

    On the same machine, with the same versions and number of devices, the results are bitwise identical to those of an
    uninterrupted sweep. Parts that are finished are kept, and the part in training is resumed from its newest
    checkpoint; if that is damaged, it is moved to checkpoints-damaged, and the part begins anew.

    Args:
      folder: the folder of the sweep, or what `open_run` returns.
      follow_links: write also where a link in the folder leads out of it.
      log, on_chunk, should_stop: as for `sweep`.

    Raises:
      SettingError: the sweep is finished, its settings have changed, its files cannot be used, a link leads out of the
        folder, or another process is still training it.
    """
    callbacks = Callbacks(log, on_chunk, should_stop).guarded()
    if not isinstance(folder, Run):
        place = Path(folder)
        multihost.on_main(lambda: recover(place, callbacks.log))
    stored = read_run(folder)
    folder = stored.folder
    if stored.kind != "sweep":
        raise SettingError(
            f"{folder} must be a sweep, not a run; `ddpg-jax resume {shlex.quote(str(folder))}` resumes it."
        )
    if (folder / "sweep.csv").exists():
        raise SettingError(f"{folder} must be a sweep that has not finished, and nothing is left to do in it.")
    plan = read_plan(stored)
    run, env = stored.run.replace(out=folder), stored.make_env()  # type: ignore[attr-defined]
    config, loop = stored.config, stored.loop
    refuse_changed(folder, stored.codes)
    code, trials = codes_of(stored.named, stored.name_env()), list(plan.trials)
    task = Task(stored.named, trials, {}, config, loop, run, env, plan.halving, plan.pbt, code)
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(locked(folder)))
        if not follow_links:
            multihost.on_main(lambda: refuse_links_out(folder))
        groups = compile_groups(plan.trials, config, loop)
        parts = [plan_part(task.algorithm, _group(groups, own), run, env) for own in plan.parts]
        with refuse_exhaustion():
            progress, task, state = _recover(task, parts, stored.contents, callbacks)
        multihost.on_main(lambda: clear_checkpoints(folder, progress.vector_step, callbacks.say))
        describe(parts, task.run, callbacks)
        if rounding := run_folder.differences_of_rounding(stored.contents, sweep_contents(task, parts)):
            callbacks.say(rounding)
        callbacks.say(f"resuming with {progress.parts} of {len(parts)} parts finished")
        return train_parts(task, parts, stored.contents, progress, callbacks, state)


def _recover(
    task: Task, parts: Sequence[Part], contents: dict[str, Any], callbacks: Callbacks
) -> tuple[Progress, Task, TrainState | None]:
    """Reads how far a sweep has come, and the states of the trials in training from the newest readable checkpoint.

    Raises:
      SettingError: config.json is another than it was when the sweep was saved.
    """
    folder = task.run.folder
    while True:
        progress, reached, before = read_progress(folder, task, len(parts))
        if before and (changed := run_folder.differences(before, contents)):
            raise SettingError(f"{folder}/config.json must be as it was when the sweep was saved, and {changed}.")
        if (vector_step := progress.vector_step) is None:
            return progress, reached, None
        try:
            return progress, reached, load_states(reached, parts[progress.parts], progress.active, vector_step)
        except Damaged as error:
            callbacks.say(f"{error} It is moved to {DAMAGED}, and what was saved before it is used.")
            multihost.on_main(partial(set_aside, folder, vector_step))


class StoredPlan(NamedTuple):
    """What the config.json of a sweep says of what is tried, and how."""

    trials: list[Trial]
    parts: list[list[int]]  # indices of the trials that are trained together
    halving: int
    pbt: bool


def read_plan(stored: Run) -> StoredPlan:
    """Reads and checks what a sweep tries.

    Raises:
      SettingError: config.json does not say it, or a value cannot be used; the message names the place.
    """
    if "sweep" not in stored.contents:
        raise SettingError(f"{stored.folder / 'config.json'}: sweep is missing, without which it cannot be resumed.")
    value = Value(stored.folder / "config.json", "sweep", stored.contents["sweep"])
    fields = value.object(set(StoredPlan._fields), set())
    trials = [read_trial(trial, stored.config, stored.loop) for trial in fields["trials"].items()]
    parts = [[index.integer(high=len(trials) - 1) for index in part.items()] for part in fields["parts"].items()]
    if sorted(index for part in parts for index in part) != list(range(len(trials))) or not all(parts):
        raise fields["parts"].refuse("lists that name each trial once")
    halving = fields["halving"].integer(high=stored.run.evaluations - 1)
    return StoredPlan(trials, parts, halving, fields["pbt"].boolean())


def _group(groups: list[CompileGroup], indices: list[int]) -> CompileGroup:
    """Returns the group of these trials, which one program trains."""
    group = next(group for group in groups if indices[0] in group.indices)
    if not set(indices) <= set(group.indices):
        raise SettingError("config.json: sweep.parts must be lists of trials that one program can train.")
    return group.pick(indices)
