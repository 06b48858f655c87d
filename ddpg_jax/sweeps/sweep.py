"""Many trials in one program: every seed of every trial is a member of it, as the seeds of a run are."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError, check
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.backend import memory_limit, nbytes
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs import folders, run_folder
from ddpg_jax.runs.config import RunConfig, env_options
from ddpg_jax.runs.monitor import Callbacks
from ddpg_jax.runs.plan import Plan, make_plan, peak_bytes
from ddpg_jax.runs.programs import make_programs, seed_keys
from ddpg_jax.sweeps.curves import CURVES, CurveWriter
from ddpg_jax.sweeps.files import write_best, write_tables
from ddpg_jax.sweeps.search_space import CompileGroup, Trial, compile_groups
from ddpg_jax.sweeps.task import Part, Task, TrialResult
from ddpg_jax.sweeps.training import sweep_layout, train_part


class SweepResult(NamedTuple):
    """What a sweep leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # a row per trial: its index, its values, steps, iqm, low, high; the best first
    best: Trial


def sweep(
    algorithm: str,
    trials: Sequence[Trial],
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    halving: int = 0,
    pbt: bool = False,
    log: Callable[[str], None] | None = print,
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None,
) -> SweepResult:
    """Trains `run.seeds` seeds of every trial and writes a folder with tables, a figure and the best policies.

    Traced settings vary within one program; each combination of static settings is a program of its own. Trials that
    would not fit in memory together are trained in the fewest equal parts. A seed begins alike in every trial.

    Args:
      algorithm: a name of the registry.
      trials: the settings to try, as `grid` or `sampled` make them: name -> value, of `config` or of `loop`.
      config, loop, run: everything else.
      halving: how many times, evenly over the run, the worse half of a part's trials ends (successive halving, Jamieson
        and Talwalkar 2016). A trial with a seed that is not finite counts as the worst.
      pbt: whether trials that end are replaced by copies of the better half, networks and replay included, with
        perturbed settings (population based training, Jaderberg et al. 2017); each copy is a trial of its own.
      log, on_chunk: as for `run_experiment`; rows hold a value per trial and seed, all seeds of the first trial first.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used.
    """
    callbacks, env, task = Callbacks(log, on_chunk), *_checked(algorithm, trials, config, loop, run, halving, pbt)
    groups = compile_groups(task.trials, config, loop)
    parts = [part for group in groups for part in plan_parts(algorithm, group, run, env)]
    for number, part in enumerate(parts, 1):
        size = len(part.group.indices)
        members = f"{size} trials x {run.seeds} seeds{part.layout.describe(size * run.seeds)}"
        callbacks.say(f"part {number} of {len(parts)}: {members}; {part.plan.describe()}")
    folder = task.run.folder
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(folders.new_run_folder(folder, run.overwrite)))
        if multihost.is_main():
            contents = run_folder.config_dict(algorithm, task.run, loop, config, env.spec, "sweep")
            run_folder.write_config(folder, contents)
        return _train_parts(task, parts, callbacks)


def _checked(
    algorithm: str, trials: Sequence[Trial], config: Any, loop: LoopConfig, run: RunConfig, halving: int, pbt: bool
) -> tuple[Env, Task]:
    """Returns the environment and the task of a sweep whose settings can be used."""
    for group in (config, loop, run):
        check(group)
    if not trials or not trials[0]:
        raise SettingError("trials must name at least one setting to try.")
    if not 0 <= halving < run.evaluations:
        raise SettingError(f"halving must be from 0 to one less than evaluations ({run.evaluations}), not {halving}.")
    if pbt and not halving:
        raise SettingError("pbt must be given together with halving, which says how often trials are replaced.")
    if run.wandb is not None:
        raise SettingError(f"wandb must be None for a sweep, whose curves are in {CURVES}, not {run.wandb!r}.")
    env = make_env(run.env, **env_options(run))
    run = dataclasses.replace(run, out=Path(run.out or f"runs/sweep-{algorithm}-{run.env.replace('/', '-')}"))
    plain = [{name: getattr(value, "item", lambda v=value: v)() for name, value in trial.items()} for trial in trials]
    return env, Task(algorithm, plain, {}, config, loop, run, env, halving, pbt)


def _train_parts(task: Task, parts: Sequence[Part], callbacks: Callbacks) -> SweepResult:
    """Trains part after part and writes the results."""
    bests: list[tuple[TrialResult, Part, TrainState]] = []  # the best trial of each part, with its states
    ended: list[TrialResult] = []
    path = task.run.folder / CURVES if multihost.is_main() else Path(os.devnull)
    with path.open("wb") as file:
        writer = CurveWriter(file, task, callbacks.on_chunk)
        for number, part in enumerate(parts, 1):
            callbacks.say(f"compiling part {number} of {len(parts)}")
            results, state = train_part(task, part, writer)
            ended += results
            bests.append((results[-1], part, state))
    callbacks.say(f"writing {task.run.folder}")
    best, part, state = max(bests, key=lambda result: result[0].interval())
    write_best(task, best, part, state)
    return SweepResult(task.run.folder, write_tables(task, ended), task.trials[best.trial])


def plan_parts(algorithm: str, group: CompileGroup, run: RunConfig, env: Env) -> Iterator[Part]:
    """Yields the fewest equal parts of a group that fit in memory.

    Raises:
      SettingError: even the seeds of one trial do not fit, or no step is left after the warm-up.
    """

    def part(group: CompileGroup) -> Part:
        all_seeds, layout = sweep_layout(group, run, len(group.indices) * run.seeds, env)
        programs = make_programs(env, algorithm, group.loop, run.eval_episodes, layout)
        return Part(group, layout, make_plan(env, programs, group.config, group.loop, all_seeds, layout))

    one = make_programs(env, algorithm, group.loop, run.eval_episodes)
    bytes_per_seed = nbytes(one.shapes(jax.eval_shape(lambda: seed_keys(run)), group.config)) // run.seeds

    def fits(trials: int) -> bool:
        try:
            all_seeds, layout = sweep_layout(group, run, trials * run.seeds, env)
        except SettingError:
            return False  # so many cannot be sharded over the devices
        return peak_bytes(bytes_per_seed * all_seeds.seeds, all_seeds.seeds, layout) <= memory_limit(layout.devices)

    most = next((size for size in range(len(group.indices), 1, -1) if fits(size)), 1)
    yield from map(part, group.split(most))
