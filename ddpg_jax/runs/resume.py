"""Going on with a run from what its folder holds."""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax

from ddpg_jax.devices import multihost
from ddpg_jax.runs import metrics, run_folder
from ddpg_jax.runs.checkpoint import DAMAGED, Damaged, Stored, about, load_state, newest_first, set_aside
from ddpg_jax.runs.experiment import Log, OnChunk, Result, drive, never, unheard
from ddpg_jax.runs.job import Job, plan_run
from ddpg_jax.runs.plan import RunConfig, seed_keys
from ddpg_jax.devices.layout import split_devices
from ddpg_jax.core.settings import SettingError, check
from ddpg_jax.core.loop import LoopConfig


def resume_experiment(
    folder: str | Path,
    steps: int | None = None,
    devices: int | None = None,
    accept_changes: bool = False,
    log: Log = print,
    on_chunk: OnChunk = unheard,
    should_stop: Callable[[], bool] = never,
) -> Result:
    """Goes on with a run from its newest good checkpoint, as if it had never stopped: to the bit on the same machine.

    A checkpoint that is damaged is named and set aside, and the one before it is taken.

    Args:
      folder: the run folder.
      steps: environment steps per seed to train to, if more than was asked for.
      devices: how many to use now; seeds are dealt to them anew.
      accept_changes: go on although config.json says other settings than the checkpoint was made with.
      log, on_chunk, should_stop: as for `run_experiment`.

    Raises:
      SettingError: there is nothing to go on from or nothing left to do, settings have changed, the devices cannot take
        the run over, or another process is still at it.
    """
    job, sharing = _again(Path(folder), steps, devices)
    if job.layout.data_shards != sharing:
        raise SettingError(
            f"devices must be such that {sharing} of them train{'s' * (sharing == 1)} an agent, as before, not "
            f"{job.layout.data_shards}: its data lie divided among them."
        )
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(run_folder.locked(job.run.folder)))
        stored, seconds = _recovered(job, accept_changes, log)
        vector_step, state = stored.vector_step, stored.state
        log(job.describe())
        log(f"going on from {job.plan.steps(vector_step):,} steps")
        if not stored.replay:
            log("the replay was not kept: steps of the present policy fill it, and what follows differs by them")
            state = job.phases.refill(state, vector_step, job.config)
        left = [bound for bound in job.plan.bounds if bound > vector_step]
        return drive(job, state, [vector_step, *left], False, seconds, log, on_chunk, should_stop)


def _again(folder: Path, steps: int | None, devices: int | None) -> tuple[Job, int]:
    """The run of a folder, planned anew, and how many devices shared an agent in it."""
    stored = run_folder.read_config(folder)
    before = check(run_folder.rebuilt(RunConfig, stored["run"], folder))
    loop = run_folder.rebuilt(LoopConfig, stored["loop"], folder)
    changed = {name: value for name, value in (("steps", steps), ("devices", devices)) if value is not None}
    job = plan_run(stored["algorithm"], stored["config"], loop, dataclasses.replace(before, **changed, out=folder))
    return job, split_devices(before.seeds, before.devices)[1] if before.devices else 1


def _recovered(job: Job, accept_changes: bool, log: Log) -> tuple[Stored, float]:
    """The newest good checkpoint of a run, and the seconds that it took to get there; the folder is made fit for it.

    Raises:
      SettingError: there is none, settings have changed, or nothing is left to do; then the folder stays as it is.
    """
    shapes = job.phases.shapes(jax.eval_shape(lambda: seed_keys(job.run)), job.config)
    damaged: list[int] = []
    for vector_step in newest_first(job.run.folder):
        try:
            before = about(job.run.folder, vector_step)["config"]
            _compare(job, before, accept_changes, log)
            stored = load_state(job.run.folder, vector_step, shapes, job.layout)
            break
        except Damaged as error:
            log(f"{error} It is set aside in {DAMAGED}, and the one before it taken.")
            damaged.append(vector_step)
    else:
        raise SettingError(f"{job.run.folder} holds no checkpoint that can be read: all {len(damaged)} are damaged.")
    done = job.plan.steps(stored.vector_step)
    if stored.vector_step >= job.plan.bounds[-1]:
        raise SettingError(f"steps must be above the {done:,} that {job.run.folder} has, not {job.run.steps:,}.")

    def mend():
        for vector_step in damaged:
            set_aside(job.run.folder, vector_step)
        run_folder.write_config(job.run.folder, job.config_dict())

    multihost.on_main(mend)
    return stored, metrics.cut(job.run.folder, done) if multihost.is_main() else 0.0


def _compare(job: Job, before: dict[str, Any], accept_changes: bool, log: Log) -> None:
    """Refuses settings that would change the result, and names what may change its bits."""
    now = job.config_dict()
    changed = run_folder.differences(before, now)
    if changed and not accept_changes:
        raise SettingError(
            f"{job.run.folder}/config.json must say what its checkpoint was made with, and {changed}; "
            "--accept-changes goes on with what it says."
        )
    if changed:
        log(f"settings have changed: {changed}")
    if any(before[name] != now[name] for name in ("versions", "device")):
        log("packages or device are others than before: what follows is the same to rounding, not to the bit")
