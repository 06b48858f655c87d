"""Resuming a run from the checkpoints in its folder."""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax

from ddpg_jax.core.settings import SettingError, check_count
from ddpg_jax.devices import multihost
from ddpg_jax.devices.backend import refuse_exhaustion
from ddpg_jax.devices.layout import split_devices
from ddpg_jax.runs import metrics, run_folder
from ddpg_jax.runs.checkpoint import DAMAGED, Damaged, Restored, load_state, newest_first, read_metadata, set_aside
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.contents import refuse_links_out
from ddpg_jax.runs.experiment import Result, train_job
from ddpg_jax.runs.folders import locked, recover
from ddpg_jax.runs.monitor import Callbacks
from ddpg_jax.runs.named import Named
from ddpg_jax.runs.own_code import changed, read_changed, refuse_changed
from ddpg_jax.runs.plan import Job, Plan, plan_run
from ddpg_jax.runs.programs import seed_keys
from ddpg_jax.runs.stored_run import Run, read_run


def resume_experiment(
    folder: str | Path | Run,
    steps: int | None = None,
    devices: int | None = None,
    accept_changes: bool = False,
    follow_links: bool = False,
    log: Callable[[str], None] | None = print,
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    more: int | None = None,
) -> Result:
    """Resumes a run from its newest readable checkpoint.

    On the same machine and number of devices, for the same number of steps and with the replay saved, the result is
    bitwise identical to that of an uninterrupted run. A damaged checkpoint is reported and moved to
    checkpoints-damaged, and the one before it is used.

    Args:
      folder: the run folder, or what `open_run` returns.
      steps: environment steps per seed to train to, if more than before.
      devices: how many devices to use now; seeds are sharded over them anew.
      accept_changes: resume although config.json has other settings than the checkpoint was made with.
      follow_links: allow symbolic links in the run folder that point outside it.
      log, on_chunk, should_stop: as for `run_experiment`.
      more: environment steps per seed to train beyond those that the run was to have, instead of `steps`.

    Raises:
      SettingError: both steps and more are given, there is no checkpoint or nothing left to do, settings have changed,
        the devices do not fit the run, a link leads out of the folder, or another process is still training it.
    """
    callbacks = Callbacks(log, on_chunk, should_stop).guarded()
    if not isinstance(folder, Run):
        multihost.on_main(lambda: recover(Path(folder), callbacks.log))
    stored = read_run(folder)
    job, data_shards = _plan_again(stored, steps, more, devices, accept_changes)
    if job.layout.data_shards != data_shards:
        raise SettingError(
            f"devices must be such that {data_shards} of them train{'s' * (data_shards == 1)} an agent, as before, not "
            f"{job.layout.data_shards}: its replay is sharded over them."
        )
    multihost.refuse_differences(job.config_dict())
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(locked(job.run.folder)))
        if not follow_links:
            multihost.on_main(lambda: refuse_links_out(job.run.folder))
        stack.enter_context(refuse_exhaustion())
        restored, spent = _recover(job, stored.given, accept_changes, callbacks)
        vector_step, state = restored.vector_step, restored.state
        job.say_plan(callbacks.say)
        clock = Clock(callbacks.say, *spent)
        callbacks.say(f"resuming at {job.plan.steps(vector_step):,} steps")
        if not restored.replay:
            callbacks.say("the replay was not saved: steps of the present policy fill it, so the rest will differ")
            with clock.compiling("what fills it") as compiled:
                compiled(job.programs.refill, state, vector_step, job.config)
            state = job.programs.refill(state, vector_step, job.config)
        left = [bound for bound in job.plan.bounds if bound > vector_step]
        return train_job(job, state, [vector_step, *left], callbacks, clock, first=False)


def _plan_again(
    stored: Run, steps: int | None, more: int | None, devices: int | None, accept_changes: bool
) -> tuple[Job, int]:
    """Plans a run anew; also returns over how many devices an agent's data was sharded in it."""
    stored.refuse_sweep()
    if more is not None:
        if steps is not None:
            raise SettingError(f"more must not be given together with steps, not {more} with {steps}.")
        check_count("more", more)
        steps = stored.run.steps + more
    algorithm, env = _same_code(stored, accept_changes)
    run = dataclasses.replace(
        stored.run,
        out=stored.folder,
        env=env,
        steps=stored.run.steps if steps is None else steps,
        devices=stored.run.devices if devices is None else devices,
        seed_mapping=stored.run.seed_mapping if stored.device == run_folder.device_name() else "auto",
    )
    job = plan_run(algorithm, stored.config, stored.loop, run, begins=False)
    return job, split_devices(stored.run.seeds, stored.run.devices)[1] if stored.run.devices else 1


def _same_code(stored: Run, accept_changes: bool) -> tuple[Named, Named]:
    """Returns the algorithm and the environment of a run, of which code of one's own must be as it was.

    Raises:
      SettingError: it has changed, and this is not accepted.
    """
    codes = stored.codes
    if not accept_changes:
        refuse_changed(stored.folder, codes, ", and --accept-changes resumes with the changed file")
    now = {kind: read_changed(kind, getattr(stored, kind), codes[kind]) for kind in changed(codes)}
    return now.get("algorithm") or stored.named, now.get("env") or stored.name_env()


def _renamed(before: dict[str, Any], job: Job, given: set[str]) -> dict[str, Any]:
    """Returns the earlier contents of config.json with the present names of what the user has given anew."""
    renamed, now = dict(before), job.config_dict()
    if "algorithm" in given:
        renamed["algorithm"] = now["algorithm"]
    if "env" in given:
        renamed["run"] = before["run"] | {"env": now["run"]["env"]}
        renamed["spec"] = before["spec"] | {"name": now["spec"]["name"]}
    return renamed


def _recover(
    job: Job, given: set[str], accept_changes: bool, callbacks: Callbacks
) -> tuple[Restored, tuple[float, float]]:
    """Reads the newest readable checkpoint and prepares the folder; also returns what it took to get there.

    Args:
      given: what of algorithm and environment the user has given in place of what the folder names.

    Raises:
      SettingError: there is none, settings have changed, or nothing is left to do; then the folder stays as it is.
    """
    folder = job.run.folder
    shapes = job.programs.shapes(jax.eval_shape(lambda: seed_keys(job.run)), job.config)
    damaged: list[int] = []
    for vector_step in newest_first(folder):
        try:
            before = _renamed(read_metadata(folder, vector_step).config, job, given)
            _compare(job, before, accept_changes, callbacks)
            _check_ring(job, before, vector_step)
            restored = load_state(folder, vector_step, shapes, job.layout)
            break
        except Damaged as error:
            callbacks.say(f"{error} It is moved to {DAMAGED}, and the checkpoint before it is used.")
            damaged.append(vector_step)
    else:
        raise SettingError(f"{folder} holds no checkpoint that can be read: all {len(damaged)} are damaged.")
    done = job.plan.steps(restored.vector_step)
    if restored.vector_step >= job.plan.bounds[-1]:
        raise SettingError(f"steps must be above {done:,}, the steps that {folder} has already, not {job.run.steps:,}.")

    def repair():
        for vector_step in damaged:
            set_aside(folder, vector_step)
        run_folder.write_config(folder, job.config_dict(), job.code)

    multihost.on_main(repair)
    return restored, metrics.drop_rows_after(folder, done, job.run.seeds) if multihost.is_main() else (0.0, 0.0)


def _check_ring(job: Job, before: dict[str, Any], vector_step: int) -> None:
    """Refuses another capacity for a replay that has been full, whose oldest row may be any.

    Raises:
      SettingError: it has been, or would be.
    """
    then, now = before["loop"]["replay_capacity"], job.loop.replay_capacity
    if then != now and job.plan.steps(vector_step) > min(then, now):
        raise SettingError(
            f"replay_capacity must be {then:,}, as in the checkpoint, not {now:,}: at {job.plan.steps(vector_step):,} "
            "steps one of them is full."
        )


def _compare(job: Job, before: dict[str, Any], accept_changes: bool, callbacks: Callbacks) -> None:
    """Refuses settings that would change the result, and logs what may change its bits."""
    now = job.config_dict()
    changed = run_folder.differences(before, now)
    if changed and not accept_changes:
        raise SettingError(
            f"{job.run.folder}/config.json must have the settings of its checkpoint, and {changed}; --accept-changes "
            "resumes with the changed settings."
        )
    if changed:
        callbacks.say(f"settings have changed: {changed}")
    if rounding := run_folder.differences_of_rounding(before, now):
        callbacks.say(rounding)
