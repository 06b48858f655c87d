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
from ddpg_jax.runs.experiment import Announce, Report, Result, drive, never, unheard
from ddpg_jax.runs.job import Job, planned
from ddpg_jax.runs.plan import RunConfig, seed_keys
from ddpg_jax.devices.layout import deal
from ddpg_jax.core.settings import SettingError, check
from ddpg_jax.core.loop import LoopConfig


def resume_experiment(
    folder: str | Path,
    steps: int | None = None,
    devices: int | None = None,
    accept_changes: bool = False,
    announce: Announce = print,
    report: Report = unheard,
    stop: Callable[[], bool] = never,
) -> Result:
    """Goes on with a run from its newest good checkpoint, as if it had never stopped: to the bit on the same machine.

    A checkpoint that is damaged is named and set aside, and the one before it is taken.

    Args:
      folder: the run folder.
      steps: environment steps per seed to train to, if more than was asked for.
      devices: how many to use now; seeds are dealt to them anew.
      accept_changes: go on although config.json says other settings than the checkpoint was made with.
      announce, report, stop: as for `run_experiment`.

    Raises:
      SettingError: there is nothing to go on from or nothing left to do, settings have changed, the devices cannot take
        the run over, or another process is still at it.
    """
    job, sharing = _again(Path(folder), steps, devices)
    if job.layout.sharing != sharing:
        raise SettingError(
            f"devices must be such that {sharing} of them train{'s' * (sharing == 1)} an agent, as before, not "
            f"{job.layout.sharing}: its data lie divided among them."
        )
    with ExitStack() as stack:
        multihost.once(lambda: stack.enter_context(run_folder.held(job.run.folder)))
        stored, seconds = _recovered(job, accept_changes, announce)
        clock, state = stored.clock, stored.state
        announce(job.describe())
        announce(f"going on from {job.plan.steps(clock):,} steps")
        if not stored.replay:
            announce("the replay was not kept: steps of the present policy fill it, and what follows differs by them")
            state = job.phases.refill(state, clock, job.config)
        left = [bound for bound in job.plan.bounds if bound > clock]
        return drive(job, state, [clock, *left], False, seconds, announce, report, stop)


def _again(folder: Path, steps: int | None, devices: int | None) -> tuple[Job, int]:
    """The run of a folder, planned anew, and how many devices shared an agent in it."""
    stored = run_folder.read_config(folder)
    before = check(run_folder.rebuilt(RunConfig, stored["run"], folder))
    loop = run_folder.rebuilt(LoopConfig, stored["loop"], folder)
    changed = {name: value for name, value in (("steps", steps), ("devices", devices)) if value is not None}
    job = planned(stored["algorithm"], stored["config"], loop, dataclasses.replace(before, **changed, out=folder))
    return job, deal(before.seeds, before.devices)[1] if before.devices else 1


def _recovered(job: Job, accept_changes: bool, announce: Announce) -> tuple[Stored, float]:
    """The newest good checkpoint of a run, and the seconds that it took to get there; the folder is made fit for it.

    Raises:
      SettingError: there is none, settings have changed, or nothing is left to do; then the folder stays as it is.
    """
    shapes = job.phases.shapes(jax.eval_shape(lambda: seed_keys(job.run)), job.config)
    damaged: list[int] = []
    for clock in newest_first(job.run.folder):
        try:
            before = about(job.run.folder, clock)["config"]
            _compare(job, before, accept_changes, announce)
            stored = load_state(job.run.folder, clock, shapes, job.layout)
            break
        except Damaged as error:
            announce(f"{error} It is set aside in {DAMAGED}, and the one before it taken.")
            damaged.append(clock)
    else:
        raise SettingError(f"{job.run.folder} holds no checkpoint that can be read: all {len(damaged)} are damaged.")
    done = job.plan.steps(stored.clock)
    if stored.clock >= job.plan.bounds[-1]:
        raise SettingError(f"steps must be above the {done:,} that {job.run.folder} has, not {job.run.steps:,}.")

    def mend():
        for clock in damaged:
            set_aside(job.run.folder, clock)
        run_folder.write_config(job.run.folder, job.said())

    multihost.once(mend)
    return stored, metrics.cut(job.run.folder, done) if multihost.first() else 0.0


def _compare(job: Job, before: dict[str, Any], accept_changes: bool, announce: Announce) -> None:
    """Refuses settings that would change the result, and names what may change its bits."""
    now = job.said()
    changed = run_folder.differences(before, now)
    if changed and not accept_changes:
        raise SettingError(
            f"{job.run.folder}/config.json must say what its checkpoint was made with, and {changed}; "
            "--accept-changes goes on with what it says."
        )
    if changed:
        announce(f"settings have changed: {changed}")
    if any(before[name] != now[name] for name in ("versions", "device")):
        announce("packages or device are others than before: what follows is the same to rounding, not to the bit")
