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
from ddpg_jax.runs.chunks import stages
from ddpg_jax.runs.experiment import summarise
from ddpg_jax.runs.plan import Plan, RunConfig, make_plan, options_of, peak_bytes, placement, programs, seed_keys
from ddpg_jax.sweeps.files import Part, Settled, Task, Tell, curves, write_best, write_tables
from ddpg_jax.sweeps.search_space import Family, Point, families, perturbed


class Swept(NamedTuple):
    """What a sweep leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # a row per setting: its number, its values, steps, iqm, low, high; the best first
    best: Point


def sweep(
    algorithm: str,
    points: Sequence[Point],
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    halving: int = 0,
    replace: bool = False,
    announce: Callable[[str], None] = print,
    report: Callable[[dict[str, Any], Plan], None] = lambda row, plan: None,
) -> Swept:
    """Trains `run.seeds` seeds of every setting and writes a folder with tables, a picture and the best policies.

    Numbers of the algorithm's configuration vary within one program; each combination of other values is a program of
    its own. Members of a program that would not fit the device together are trained in the fewest equal parts. Seed i
    begins alike under every setting.

    Args:
      algorithm: a name of the registry.
      points: the settings to try, as `grid` or `sampled` make them: name -> value, of `config` or of `loop`.
      config, loop, run: everything else.
      halving: how many times, evenly over the run, the worse half of a part's settings ends (successive halving,
        Jamieson and Talwalkar 2016). A setting of which a seed is not finite counts as the worst.
      replace: the places of those that end go to copies of the better half, networks and replay included, with their
        numbers perturbed (population based training, Jaderberg et al. 2017); each copy is a setting of its own.
      announce, report: as for `run_experiment`; rows hold a value per member, settings in order.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used.
    """
    for settings_of in (config, loop, run):
        check(settings_of)
    if not points or not points[0]:
        raise SettingError("points must name at least one setting to try.")
    if not 0 <= halving < run.evaluations:
        raise SettingError(f"halving must be from 0 to one less than evaluations ({run.evaluations}), not {halving}.")
    if replace and not halving:
        raise SettingError("replace must be given with halving, which says how often settings are replaced.")
    if run.wandb is not None:
        raise SettingError(f"wandb must be None for a sweep, which keeps its curves in curves.csv, not {run.wandb!r}.")
    env = make_env(run.env, **options_of(run))
    folder = Path(run.out or f"runs/sweep-{algorithm}-{run.env.replace('/', '-')}")
    parts = [part for family in families(points, config, loop) for part in planned(algorithm, family, run, env)]
    task = Task(algorithm, list(points), {}, config, loop, dataclasses.replace(run, out=folder), env, halving, replace)
    for number, part in enumerate(parts, 1):
        settings = len(part.family.indices)
        members = f"{settings} settings x {run.seeds} seeds{part.layout.describe(settings * run.seeds)}"
        announce(f"part {number} of {len(parts)}: {members}; {part.plan.describe()}")
    with ExitStack() as stack:
        multihost.once(lambda: stack.enter_context(run_folder.created(folder, run.overwrite)))
        if multihost.first():
            run_folder.write_config(folder, run_folder.described(algorithm, task.run, loop, config, env.spec))
        return _sweep(task, parts, announce, report)


def _sweep(
    task: Task,
    parts: Sequence[Part],
    announce: Callable[[str], None],
    report: Callable[[dict[str, Any], Plan], None],
) -> Swept:
    """Trains part after part and writes what came of them."""
    results: list[tuple[Settled, Part, TrainState]] = []  # the best of each part, with its states
    table: list[Settled] = []
    path = task.run.folder / "curves.csv" if multihost.first() else Path(os.devnull)
    with path.open("w", newline="", encoding="utf-8") as file:
        tell = curves(csv.writer(file), task, report)
        for number, part in enumerate(parts, 1):
            announce(f"compiling part {number} of {len(parts)}")
            ended, state = _train(task, part, tell)
            table += ended
            results.append((ended[-1], part, state))
    announce(f"writing {task.run.folder}")
    won, part, state = max(results, key=lambda result: result[0].interval())
    write_best(task, won, part, state)
    return Swept(task.run.folder, write_tables(task, table), task.points[won.setting])


def planned(algorithm: str, family: Family, run: RunConfig, env: Env) -> Iterator[Part]:
    """A family in the fewest equal parts that the device bears.

    Raises:
      SettingError: even the seeds of one setting do not fit, or nothing is left to learn from.
    """

    def part(family: Family) -> Part:
        wide, layout = _placed(family, run, len(family.indices) * run.seeds, env)
        phases = programs(env, algorithm, family.loop, run.eval_episodes, layout)
        return Part(family, layout, make_plan(env, phases, family.config, family.loop, wide, layout))

    one = programs(env, algorithm, family.loop, run.eval_episodes)
    each = nbytes(one.shapes(jax.eval_shape(lambda: seed_keys(run)), family.config)) // run.seeds

    def fits(settings: int) -> bool:
        try:
            wide, layout = _placed(family, run, settings * run.seeds, env)
        except SettingError:
            return False  # so many cannot be dealt to the devices
        return peak_bytes(each * wide.seeds, wide.seeds, layout) <= memory_limit(layout.devices)

    most = next((size for size in range(len(family.indices), 1, -1) if fits(size)), 1)
    yield from map(part, family.split(most))


def _placed(family: Family, run: RunConfig, members: int, env: Env) -> tuple[RunConfig, Layout]:
    """The run with so many members as its seeds, and where they are trained."""
    wide = dataclasses.replace(run, seeds=members)
    return wide, placement(family.config, family.loop, wide, env)


def _train(task: Task, part: Part, tell: Tell) -> tuple[list[Settled], TrainState]:
    """Trains a part: its settings in the order in which they ended, the best last, and the states of its seeds."""
    bounds, seeds = part.plan.bounds, task.run.seeds
    alive, ended = list(part.family.indices), []
    state = None
    rungs = [round((len(bounds) - 1) * rung / (task.halving + 1)) for rung in range(task.halving + 2)]
    for begin, end in itertools.pairwise(dict.fromkeys(bounds[rung] for rung in rungs)):
        stretch = [bound for bound in bounds if begin <= bound <= end]
        state, result = _train_stretch(task, part, stretch, alive, state, tell)
        last = end == bounds[-1]
        ranked = [
            Settled(setting, part.plan.steps(end), summarise(task.run, _members(result, at, seeds)), last)
            for at, setting in enumerate(alive)
        ]
        ranked.sort(key=Settled.interval)
        keep = ranked[-1:] if last else ranked[len(ranked) // 2 :]
        ended += ranked if last else ranked[: len(ranked) // 2]
        kept = sorted(one.setting for one in keep)
        places = [alive.index(setting) for setting in kept]
        if task.replace and not last:
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
    rng = np.random.default_rng([task.run.seed, len(task.points)])
    task.points.append(perturbed(task.points[parent], list(part.family.numbers), task.config, rng))
    task.parents[len(task.points) - 1] = parent
    return len(task.points) - 1


def _train_stretch(
    task: Task, part: Part, bounds: Sequence[int], alive: Sequence[int], state: TrainState | None, tell: Tell
) -> tuple[TrainState, Evaluation]:
    """Trains the settings that are alive from the first bound to the last; None begins them."""
    family, run, env = part.family, task.run, task.env
    _, layout = _placed(family, run, len(alive) * run.seeds, env)
    phases = programs(env, task.algorithm, family.loop, run.eval_episodes, layout)
    keys = seed_keys(run, layout, len(alive))  # all seeds of the first setting, then of the next
    numbers: dict[str, Any] = {
        name: np.repeat(np.array([task.points[at][name] for at in alive], np.float32), run.seeds)
        for name in family.numbers
    }
    if first := state is None:
        begun = phases.start(keys, family.config, numbers)
    else:
        state = dataclasses.replace(state, numbers=numbers)
        begun = multihost.place(state, shardings(state, layout, STATE))
    for stage in stages(phases, begun, keys, family.config, bounds, first):
        tell(part, stage.clock, alive, stage.measured)
    return stage.state, stage.result


def _members(tree: Any, at: int, seeds: int) -> Any:
    """The seeds of the setting at a place."""
    return jax.tree.map(lambda leaf: leaf[at * seeds : (at + 1) * seeds], tree)
