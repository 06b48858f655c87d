"""`ddpg-jax resume`: resumes a run or a sweep from its newest checkpoint."""

import dataclasses
import functools
import shlex
from typing import Annotated, Any

import tyro
from typing_extensions import Doc

from ddpg_jax.cli import sweep, train
from ddpg_jax.cli.console import print_line
from ddpg_jax.cli.parse import OwnCode, RunFolder
from ddpg_jax.cli.settings import Processes
from ddpg_jax.core.settings import SettingError, check


def resume(
    folder: RunFolder,
    steps: Annotated[int | None, Doc("environment steps per seed to train to; by default unchanged")] = None,
    more: Annotated[
        int | None, Doc("environment steps per seed to train beyond those, instead of --steps; by default none")
    ] = None,
    devices: Annotated[int | None, Doc("devices to use; by default unchanged")] = None,
    accept_changes: Annotated[bool, Doc("resume although config.json has been changed since the run began")] = False,
    follow_links: Annotated[bool, Doc("allow symbolic links in the run folder that point outside it")] = False,
    own: Annotated[OwnCode, tyro.conf.arg(name="your own code")] = OwnCode(),
    process: Processes = Processes(),
) -> int:
    """Resume a run or a sweep from its newest checkpoint."""
    from ddpg_jax.runs.folders import recover
    from ddpg_jax.runs.paths import check_stored_path
    from ddpg_jax.runs.resume import resume_experiment
    from ddpg_jax.runs.stored_run import read_run

    check_stored_path(folder)
    if not process.distributed:
        recover(folder, None if process.quiet else print_line)
    stored = read_run(own.open(folder))
    if stored.kind == "sweep":
        if (steps, more, devices) != (None, None, None) or accept_changes:
            raise SettingError(
                "steps, more, devices and accept-changes must not be given to resume a sweep, only a run."
            )
        return _resume_sweep(stored, follow_links, process)
    run = dataclasses.replace(stored.run, devices=stored.run.devices if devices is None else devices)
    train.prepare_for(check(run), stored.loop, stored.config, process)
    again = f"`ddpg-jax train --resume {shlex.quote(str(folder))}`"
    kept = f"stopped before the first update; {again} resumes the run from its checkpoint"
    experiment = functools.partial(resume_experiment, stored, steps, devices, accept_changes, follow_links, more=more)
    return train.run_to_end(process, experiment, kept)


def _resume_sweep(stored: Any, follow_links: bool, process: Processes) -> int:
    from ddpg_jax.sweeps.resume import read_plan, resume_sweep

    members = stored.run.seeds * len(read_plan(stored).trials)
    train.prepare_for(check(stored.run).replace(seeds=members), stored.loop, stored.config, process)
    return sweep.run_to_end(process, stored.run.seeds, functools.partial(resume_sweep, stored, follow_links))
