"""Many settings at once: every seed of every setting is a member of one program, as the seeds of a run are."""

import csv
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError, check
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.backend import memory_limit, nbytes
from ddpg_jax.devices.data_parallel import STATE
from ddpg_jax.devices.layout import Layout, shardings
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs import run_folder
from ddpg_jax.runs.chunks import run_chunks
from ddpg_jax.runs.experiment import summarize
from ddpg_jax.runs.plan import Plan, RunConfig, make_plan, options_of, peak_bytes, placement, programs, seed_keys
from ddpg_jax.sweeps.files import Part, Task, Tell, TrialResult, curves, write_best, write_tables
from ddpg_jax.sweeps.search_space import CompileGroup, Trial, compile_groups, perturbed


class SweepResult(NamedTuple):
    """What a sweep leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # a row per setting: its number, its values, steps, iqm, low, high; the best first
    best: Trial


def sweep(
    algorithm: str,
    trials: Sequence[Trial],
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    halving: int = 0,
    pbt: bool = False,
    log: Callable[[str], None] = print,
    on_chunk: Callable[[dict[str, Any], Plan], None] = lambda row, plan: None,
) -> SweepResult:
    """Trains `run.seeds` seeds of every setting and writes a folder with tables, a picture and the best policies.

    Numbers of the algorithm's configuration vary within one program; each combination of other values is a program of
    its own. Members of a program that would not fit the device together are trained in the fewest equal parts. Seed i
    begins alike under every setting.

    Args:
      algorithm: a name of the registry.
      trials: the settings to try, as `grid` or `sampled` make them: name -> value, of `config` or of `loop`.
      config, loop, run: everything else.
      halving: how many times, evenly over the run, the worse half of a part's settings ends (successive halving,
        Jamieson and Talwalkar 2016). A setting of which a seed is not finite counts as the worst.
      pbt: the places of those that end go to copies of the better half, networks and replay included, with their
        hyperparams perturbed (population based training, Jaderberg et al. 2017); each copy is a setting of its own.
      log, on_chunk: as for `run_experiment`; rows hold a value per member, settings in order.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used.
    """
    for settings_of in (config, loop, run):
        check(settings_of)
    if not trials or not trials[0]:
        raise SettingError("trials must name at least one setting to try.")
    if not 0 <= halving < run.evaluations:
        raise SettingError(f"halving must be from 0 to one less than evaluations ({run.evaluations}), not {halving}.")
    if pbt and not halving:
        raise SettingError("pbt must be given with halving, which says how often settings are replaced.")
    if run.wandb is not None:
        raise SettingError(f"wandb must be None for a sweep, which keeps its curves in curves.csv, not {run.wandb!r}.")
    env = make_env(run.env, **options_of(run))
    folder = Path(run.out or f"runs/sweep-{algorithm}-{run.env.replace('/', '-')}")
    parts = [part for group in compile_groups(trials, config, loop) for part in plan_groups(algorithm, group, run, env)]
    task = Task(algorithm, list(trials), {}, config, loop, dataclasses.replace(run, out=folder), env, halving, pbt)
    for number, part in enumerate(parts, 1):
        settings = len(part.group.indices)
        members = f"{settings} settings x {run.seeds} seeds{part.layout.describe(settings * run.seeds)}"
        log(f"part {number} of {len(parts)}: {members}; {part.plan.describe()}")
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(run_folder.new_run_folder(folder, run.overwrite)))
        if multihost.is_main():
            run_folder.write_config(folder, run_folder.config_dict(algorithm, task.run, loop, config, env.spec))
        return _sweep(task, parts, log, on_chunk)


def _sweep(
    task: Task,
    parts: Sequence[Part],
    log: Callable[[str], None],
    on_chunk: Callable[[dict[str, Any], Plan], None],
) -> SweepResult:
    """Trains part after part and writes what came of them."""
    results: list[tuple[TrialResult, Part, TrainState]] = []  # the best of each part, with its states
    table: list[TrialResult] = []
    path = task.run.folder / "curves.csv" if multihost.is_main() else Path(os.devnull)
    with path.open("w", newline="", encoding="utf-8") as file:
        tell = curves(csv.writer(file), task, on_chunk)
        for number, part in enumerate(parts, 1):
            log(f"compiling part {number} of {len(parts)}")
            ended, state = _train(task, part, tell)
            table += ended
            results.append((ended[-1], part, state))
    log(f"writing {task.run.folder}")
    won, part, state = max(results, key=lambda result: result[0].interval())
    write_best(task, won, part, state)
    return SweepResult(task.run.folder, write_tables(task, table), task.trials[won.setting])


def plan_groups(algorithm: str, group: CompileGroup, run: RunConfig, env: Env) -> Iterator[Part]:
    """A group in the fewest equal parts that the device bears.

    Raises:
      SettingError: even the seeds of one setting do not fit, or nothing is left to learn from.
    """

    def part(group: CompileGroup) -> Part:
        wide, layout = _placed(group, run, len(group.indices) * run.seeds, env)
        phases = programs(env, algorithm, group.loop, run.eval_episodes, layout)
        return Part(group, layout, make_plan(env, phases, group.config, group.loop, wide, layout))

    one = programs(env, algorithm, group.loop, run.eval_episodes)
    each = nbytes(one.shapes(jax.eval_shape(lambda: seed_keys(run)), group.config)) // run.seeds

    def fits(settings: int) -> bool:
        try:
            wide, layout = _placed(group, run, settings * run.seeds, env)
        except SettingError:
            return False  # so many cannot be dealt to the devices
        return peak_bytes(each * wide.seeds, wide.seeds, layout) <= memory_limit(layout.devices)

    most = next((size for size in range(len(group.indices), 1, -1) if fits(size)), 1)
    yield from map(part, group.split(most))


def _placed(group: CompileGroup, run: RunConfig, members: int, env: Env) -> tuple[RunConfig, Layout]:
    """The run with so many members as its seeds, and where they are trained."""
    wide = dataclasses.replace(run, seeds=members)
    return wide, placement(group.config, group.loop, wide, env)


def _train(task: Task, part: Part, tell: Tell) -> tuple[list[TrialResult], TrainState]:
    """Trains a part: its settings in the order in which they ended, the best last, and the states of its seeds."""
    bounds, seeds = part.plan.bounds, task.run.seeds
    alive, ended = list(part.group.indices), []
    state = None
    rungs = [round((len(bounds) - 1) * rung / (task.halving + 1)) for rung in range(task.halving + 2)]
    for begin, end in itertools.pairwise(dict.fromkeys(bounds[rung] for rung in rungs)):
        stretch = [bound for bound in bounds if begin <= bound <= end]
        state, result = _train_stretch(task, part, stretch, alive, state, tell)
        last = end == bounds[-1]
        ranked = [
            TrialResult(setting, part.plan.steps(end), summarize(task.run, _members(result, at, seeds)), last)
            for at, setting in enumerate(alive)
        ]
        ranked.sort(key=TrialResult.interval)
        keep = ranked[-1:] if last else ranked[len(ranked) // 2 :]
        ended += ranked if last else ranked[: len(ranked) // 2]
        kept = sorted(one.setting for one in keep)
        places = [alive.index(setting) for setting in kept]
        if task.pbt and not last:
            best_first = [one.setting for one in reversed(keep)]
            parents = [best_first[at % len(best_first)] for at in range(len(alive) - len(kept))]
            places += map(alive.index, parents)
            kept += [_born(task, part, parent) for parent in parents]
        members = np.concatenate([place * seeds + np.arange(seeds) for place in places])
        alive, state = kept, jax.tree.map(lambda leaf, members=members: leaf[members], state)
    assert state is not None
    return ended, state


def _born(task: Task, part: Part, parent: int) -> int:
    """A new setting like its parent's, perturbed; returns its number."""
    rng = np.random.default_rng([task.run.seed, len(task.trials)])
    task.trials.append(perturbed(task.trials[parent], list(part.group.hyperparams), task.config, rng))
    task.parents[len(task.trials) - 1] = parent
    return len(task.trials) - 1


def _train_stretch(
    task: Task, part: Part, bounds: Sequence[int], alive: Sequence[int], state: TrainState | None, tell: Tell
) -> tuple[TrainState, Evaluation]:
    """Trains the settings that are alive from the first bound to the last; None begins them."""
    group, run, env = part.group, task.run, task.env
    _, layout = _placed(group, run, len(alive) * run.seeds, env)
    phases = programs(env, task.algorithm, group.loop, run.eval_episodes, layout)
    keys = seed_keys(run, layout, len(alive))  # all seeds of the first setting, then of the next
    hyperparams: dict[str, Any] = {
        name: np.repeat(np.array([task.trials[at][name] for at in alive], np.float32), run.seeds)
        for name in group.hyperparams
    }
    if first := state is None:
        begun = phases.start(keys, group.config, hyperparams)
    else:
        state = dataclasses.replace(state, hyperparams=hyperparams)
        begun = multihost.reshard(state, shardings(state, layout, STATE))
    for stage in run_chunks(phases, begun, keys, group.config, bounds, first):
        tell(part, stage.vector_step, alive, stage.measured)
    return stage.state, stage.result


def _members(tree: Any, at: int, seeds: int) -> Any:
    """The seeds of the setting at a place."""
    return jax.tree.map(lambda leaf: leaf[at * seeds : (at + 1) * seeds], tree)
