"""`ddpg-jax train` and `resume`: one process or several, of which the first one prints."""

import functools
import shlex
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from ddpg_jax.cli.console import console, evaluation_table, print_error, print_line
from ddpg_jax.cli.settings import Processes, Settings
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import check, reason
from ddpg_jax.devices import multihost
from ddpg_jax.runs.signals import Stop

EXIT_CODES = {"finished": 0, "halted": 4, "stopped": 75}  # 75 is what sysexits.h calls "try again later"
BEFORE_TRAINING = "stopped before the first update: there is nothing to keep"
LOST = "another process of this run has ended; `ddpg-jax resume` in all of them resumes the run from its checkpoint"


def train(settings: Settings) -> int:
    """Train agents of one algorithm and write a run folder."""
    from ddpg_jax.runs.experiment import run_experiment

    algorithm, config, loop, run, processes, _ = settings
    prepare_for(check(run), loop, config, processes)
    return run_to_end(processes, functools.partial(run_experiment, algorithm, config, loop, run))


def prepare_for(run: Any, loop: LoopConfig, config: Any, processes: Processes) -> None:
    """Sets JAX up for a run, before its first computation."""
    from ddpg_jax.devices.backend import prepare
    from ddpg_jax.devices.layout import fits_one_thread

    image, hidden = str(run.env).startswith("pixels/"), getattr(config, "hidden", ())
    alone = run.devices is None and not processes.distributed
    one_thread = alone and fits_one_thread(loop.num_envs, loop.batch_size, hidden, image)
    prepare(run.seeds, one_thread, 1 if processes.distributed else run.devices)


def run_to_end(processes: Processes, experiment: Callable[..., Any], early: str = BEFORE_TRAINING) -> int:
    """Runs an experiment until it ends or is asked to, prints its table and returns the exit code."""
    from ddpg_jax.runs.evaluation import best_of, choice

    is_main = processes.join()  # before signals are handled here: JAX's runtime would replace the handlers
    with Stop(print_error, early) as stop:
        result, out = run_displayed(processes, is_main, functools.partial(experiment, should_stop=stop))
    run = result.run
    title = f"{run.eval_episodes} deterministic episodes per seed"
    out.print(evaluation_table(title, result.table, best_of(result.table)))
    if words := choice(result.table, run.eval_episodes, result.folder):
        print_line(words, out)
    written = sorted(path.name for path in result.folder.glob("[!.]*"))
    print_line(f"{result.folder}: {', '.join(written)}", out)
    if result.outcome == "stopped":
        again = f"`ddpg-jax train --resume {shlex.quote(str(result.folder))}` resumes it"
        print_line(f"stopped at {result.steps:,} of {run.steps:,} steps; {again}", out)
    return EXIT_CODES[result.outcome]


def run_displayed(processes: Processes, is_main: bool, experiment: Callable[..., Any]) -> tuple[Any, Console]:
    """Runs an experiment in every process and shows it in the main one; returns its result and where to print more."""
    import jax

    from ddpg_jax.cli.display import Display

    try:
        with Display(console(quiet=processes.quiet or not is_main)) as display:
            return experiment(log=display.log, on_chunk=display.on_chunk), display.console
    except jax.errors.JaxRuntimeError as error:
        if not processes.distributed:
            raise
        print(f"error: {LOST} ({reason(error)})", file=sys.stderr, flush=True)
        multihost.exit_now(3)
