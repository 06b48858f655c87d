"""`ddpg-jax train` and `resume`: one process or several, with a display in the one that speaks."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from typing_extensions import Doc

from ddpg_jax.cli.look import table_of
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError, check
from ddpg_jax.devices import multihost
from ddpg_jax.runs.signals import Stop

ENDS = {"finished": 0, "halted": 4, "stopped": 75}  # exit codes; 75 is what sysexits.h calls "try again later"
LOST = "another process of this run has ended; when all are back, `ddpg-jax train --resume` goes on from the checkpoint"


@dataclasses.dataclass(frozen=True)
class Hosts:
    """How this process takes part: alone or as one of several with the same command, aloud or quietly."""

    distributed: Annotated[
        bool,
        Doc("this is one of several processes (on a CPU each is one device); by default if srun or mpirun says so"),
    ] = dataclasses.field(default_factory=multihost.launched_by_cluster)
    coordinator: Annotated[str | None, Doc("HOST:PORT of process 0; by default found out from the cluster")] = None
    processes: Annotated[int | None, Doc("how many; by default as the cluster says")] = None
    process: Annotated[int | None, Doc("which of them this is, from 0; by default as the cluster says")] = None
    quiet: Annotated[bool, Doc("print nothing but errors")] = False

    def join(self) -> bool:
        """Finds the others, if there are any; returns whether this process speaks for all."""
        if not self.distributed:
            if (self.coordinator, self.processes, self.process) != (None, None, None):
                raise SettingError("distributed must be given with coordinator, processes and process.")
            return True
        multihost.initialize(self.coordinator, self.processes, self.process)
        return multihost.is_main()


def run_train(name: str, others: Hosts, run: Any, loop: LoopConfig, config: Any) -> int:
    """Trains, prints the table and returns the exit code."""
    from ddpg_jax.runs.experiment import run_experiment

    prepare_for(check(run), loop, config, others)
    return _show(others, functools.partial(run_experiment, name, config, loop, run))


def prepare_for(run: Any, loop: LoopConfig, config: Any, others: Hosts) -> None:
    """Sets JAX up for a run."""
    from ddpg_jax.devices.backend import prepare
    from ddpg_jax.devices.layout import fits_one_thread

    image, hidden = run.env.startswith("pixels/"), getattr(config, "hidden", ())
    alone = run.devices is None and not others.distributed
    one_thread = alone and fits_one_thread(loop.num_envs, loop.batch_size, hidden, image)
    prepare(run.seeds, one_thread, 1 if others.distributed else run.devices)


def _show(others: Hosts, experiment: Callable[..., Any]) -> int:
    """Runs an experiment until it ends or is asked to, prints its table and returns the exit code."""
    speaks = others.join()  # before signals are ours: JAX's runtime would take them
    with Stop(functools.partial(print, file=sys.stderr, flush=True)) as stop:
        result, console = together(others, speaks, functools.partial(experiment, should_stop=stop))
    run = result.run
    console.print(table_of(result.table, f"{run.eval_episodes} deterministic episodes per seed"))
    written = sorted(path.name for path in result.folder.glob("[!.]*"))
    console.print(f"{result.folder}: {', '.join(written)}", soft_wrap=True)
    if result.outcome == "stopped":
        again = f"ddpg-jax train --resume {result.folder}"
        console.print(f"stopped at {result.steps:,} of {run.steps:,} steps; `{again}` goes on", soft_wrap=True)
    return ENDS[result.outcome]


def together(others: Hosts, speaks: bool, experiment: Callable[..., Any]) -> tuple[Any, Console]:
    """Runs an experiment in every process, with a display in the one that speaks; the others are silent."""
    import jax

    from ddpg_jax.cli.display import Display

    try:
        with Display(Console(stderr=False, quiet=others.quiet or not speaks)) as display:
            return experiment(log=display.log, on_chunk=display.on_chunk), display.console
    except jax.errors.JaxRuntimeError as error:
        if not others.distributed:
            raise
        print(f"error: {LOST} ({str(error).splitlines()[0][:200]})", file=sys.stderr, flush=True)
        multihost.exit_now(3)


def resume(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    steps: Annotated[int | None, Doc("environment steps per seed to train to; by default as before")] = None,
    devices: Annotated[int | None, Doc("devices to use; by default as before")] = None,
    accept_changes: Annotated[bool, Doc("go on although config.json no longer says what the run began with")] = False,
    others: Hosts = Hosts(),
) -> Callable[[], int]:
    """`resume RUN`."""
    return lambda: run_resume(folder, steps, devices, accept_changes, others)


def run_resume(folder: Path, steps: int | None, devices: int | None, accept_changes: bool, others: Hosts) -> int:
    """Goes on with a run, prints the table and returns the exit code."""
    from ddpg_jax.runs.resume import resume_experiment
    from ddpg_jax.runs.stored_run import read_run

    stored = read_run(folder)
    run = dataclasses.replace(stored.run, devices=stored.run.devices if devices is None else devices)
    prepare_for(check(run), stored.loop, stored.config, others)
    return _show(others, functools.partial(resume_experiment, folder, steps, devices, accept_changes))
