"""Many settings at once: every seed of every setting is a member of one program, as the seeds of a run are."""

import csv
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax import plots, run_folder
from ddpg_jax.checkpoint import save_state
from ddpg_jax.device import memory_limit
from ddpg_jax.envs import make_env
from ddpg_jax.evaluate import Evaluation
from ddpg_jax.experiment import stages, summarise
from ddpg_jax.parallel import STATE
from ddpg_jax.plan import Plan, RunConfig, make_plan, options_of, peak_bytes, placement, programs, seed_keys
from ddpg_jax.seeds import Layout, shardings
from ddpg_jax.settings import SettingError, check
from ddpg_jax.space import Family, Point, applied, families
from ddpg_jax.statistics import Interval, interval
from ddpg_jax.train import LoopConfig
from ddpg_jax.types import Env, TrainState

# told (number of the part, clock, numbers of its settings, metrics [members])
Tell = Callable[["Part", int, Sequence[int], dict[str, Any]], None]


class Part(NamedTuple):
    """Settings that one program trains together, planned."""

    family: Family
    layout: Layout
    plan: Plan


class Settled(NamedTuple):
    """A setting at the end of its training."""

    setting: int  # its number in the sweep
    steps: int  # environment steps per seed
    seeds: list[dict[str, Any]]  # a row per seed, as in evaluation.json
    finished: bool  # not ended by halving

    def interval(self) -> Interval:
        """Of the seeds' final evaluations; -inf where one of them is not finite."""
        means = [row["mean"] for row in self.seeds]
        return Interval(-math.inf, -math.inf, -math.inf) if None in means else interval(means)


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
    env = make_env(run.env, **options_of(run))
    folder = Path(run.out or f"runs/sweep-{algorithm}-{run.env.replace('/', '-')}")
    parts = [part for family in families(points, config, loop) for part in planned(algorithm, family, run, env)]
    run_folder.create(folder, run.overwrite)
    run_folder.write_config(folder, algorithm, dataclasses.replace(run, out=folder), loop, config, env.spec)
    for number, part in enumerate(parts, 1):
        settings = len(part.family.indices)
        members = f"{settings} settings x {run.seeds} seeds{part.layout.describe(settings * run.seeds)}"
        announce(f"part {number} of {len(parts)}: {members}; {part.plan.describe()}")

    results: list[tuple[Settled, Part, TrainState]] = []  # the best of each part, with its states
    table: list[Settled] = []
    with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        tell = _curves(csv.writer(file), points, run, report)
        for number, part in enumerate(parts, 1):
            announce(f"compiling part {number} of {len(parts)}")
            ended, state = _train(algorithm, part, env, run, halving, tell)
            table += ended
            results.append((ended[-1], part, state))
    announce(f"writing {folder}")
    won, part, state = max(results, key=lambda result: result[0].interval())
    _write_best(folder / "best", algorithm, applied(points[won.setting], config, loop), run, env, won, part, state)
    return Swept(folder, _write_tables(folder, points, table), points[won.setting])


def planned(algorithm: str, family: Family, run: RunConfig, env: Env) -> Iterator[Part]:
    """A family in the fewest equal parts that the device bears.

    Raises:
      SettingError: even the seeds of one setting do not fit, or nothing is left to learn from.
    """

    def part(family: Family) -> Part:
        wide, layout = _placed(family, run, len(family.indices) * run.seeds, env)
        phases = programs(env, algorithm, family.loop, run.eval_episodes, layout)
        return Part(family, layout, make_plan(env, phases, family.config, family.loop, wide, layout))

    each = part(family.split(1)[0]).plan.state_bytes // run.seeds

    def fits(settings: int) -> bool:
        wide, layout = _placed(family, run, settings * run.seeds, env)
        return peak_bytes(each * wide.seeds, wide.seeds, layout) <= memory_limit(layout.devices)

    most = next((size for size in range(len(family.indices), 1, -1) if fits(size)), 1)
    yield from map(part, family.split(most))


def _placed(family: Family, run: RunConfig, members: int, env: Env) -> tuple[RunConfig, Layout]:
    """The run with so many members as its seeds, and where they are trained."""
    wide = dataclasses.replace(run, seeds=members)
    return wide, placement(family.config, family.loop, wide, env)


def _train(
    algorithm: str, part: Part, env: Env, run: RunConfig, halving: int, tell: Tell
) -> tuple[list[Settled], TrainState]:
    """Trains a part: its settings in the order in which they ended, the best last, and the states of its seeds."""
    bounds, seeds = part.plan.bounds, run.seeds
    alive, ended = list(part.family.indices), []
    keys = jnp.tile(seed_keys(run), len(alive))  # [members]: all seeds of the first setting, then of the next
    state = None
    cuts = [bounds[round((len(bounds) - 1) * rung / (halving + 1))] for rung in range(halving + 2)]
    for begin, end in itertools.pairwise(dict.fromkeys(cuts)):
        stretch = [bound for bound in bounds if begin <= bound <= end]
        state, result = _train_stretch(algorithm, part, env, run, stretch, alive, keys, state, tell)
        last = end == bounds[-1]
        ranked = [
            Settled(setting, part.plan.steps(end), summarise(run, _members(result, at, seeds)), last)
            for at, setting in enumerate(alive)
        ]
        ranked.sort(key=Settled.interval)
        keep = ranked[-1:] if last else ranked[len(ranked) // 2 :]
        ended += ranked if last else ranked[: len(ranked) // 2]
        kept = sorted(one.setting for one in keep)
        members = np.concatenate([alive.index(setting) * seeds + np.arange(seeds) for setting in kept])
        alive, keys, state = kept, keys[members], jax.tree.map(lambda leaf, members=members: leaf[members], state)
    assert state is not None
    return ended, state


def _train_stretch(
    algorithm: str,
    part: Part,
    env: Env,
    run: RunConfig,
    bounds: Sequence[int],
    alive: Sequence[int],
    keys: jax.Array,
    state: TrainState | None,
    tell: Tell,
) -> tuple[TrainState, Evaluation]:
    """Trains the settings that are alive from the first bound to the last; None begins them."""
    family = part.family
    _, layout = _placed(family, run, len(keys), env)
    phases = programs(env, algorithm, family.loop, run.eval_episodes, layout)
    numbers = {name: jnp.repeat(jnp.asarray(values), run.seeds, axis=0) for name, values in family.numbers.items()}
    if first := state is None:
        begun = phases.start(keys, family.config, numbers)
    else:
        begun = jax.device_put(state, shardings(state, layout, STATE))
    for clock, after, result, measured in stages(phases, begun, keys, family.config, bounds, first):  # noqa: B007
        tell(part, clock, alive, jax.device_get(measured))
    return after, jax.device_get(result)


def _members(tree: Any, at: int, seeds: int) -> Any:
    """The seeds of the setting at a place."""
    return jax.tree.map(lambda leaf: leaf[at * seeds : (at + 1) * seeds], tree)


def _curves(
    writer: Any, points: Sequence[Point], run: RunConfig, report: Callable[[dict[str, Any], Plan], None]
) -> Tell:
    """Writes curves.csv: a line per evaluation of a member."""
    began = time.perf_counter()
    writer.writerow(["setting", *points[0], "seed", "steps", "updates", "seconds", "eval_return", "eval_length"])

    def tell(part: Part, clock: int, alive: Sequence[int], measured: dict[str, Any]) -> None:
        returns, lengths = (np.asarray(measured[name]).tolist() for name in ("eval_return", "eval_length"))
        when: dict[str, Any] = {"steps": part.plan.steps(clock), "updates": part.plan.updates(clock)}
        when["seconds"] = round(time.perf_counter() - began, 3)
        for at, (index, seed) in enumerate(itertools.product(alive, range(run.seeds))):
            values = [index, *points[index].values(), run.seed + seed, *when.values(), returns[at], lengths[at]]
            writer.writerow(values)
        report(when | {"eval_return": returns}, part.plan)

    return tell


def _write_tables(folder: Path, points: Sequence[Point], ended: list[Settled]) -> list[dict[str, Any]]:
    """Writes sweep.csv, a line per seed of a setting, and sweep.png; returns a row per setting, the best first."""
    lines = [
        {"setting": one.setting, **points[one.setting], **row, "steps": one.steps, "finished": one.finished}
        for one in sorted(ended, key=lambda one: one.setting)
        for row in one.seeds
    ]
    with (folder / "sweep.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    ranked = sorted(ended, key=lambda one: (one.finished, one.steps, one.interval()), reverse=True)
    table = [
        {"setting": one.setting, **points[one.setting], "steps": one.steps} | one.interval()._asdict() for one in ranked
    ]
    plots.sweep(points, table, folder / "sweep.png")
    return table


def _write_best(
    folder: Path,
    algorithm: str,
    chosen: tuple[Any, LoopConfig],
    run: RunConfig,
    env: Env,
    won: Settled,
    part: Part,
    state: TrainState,
) -> None:
    """The seeds of the best setting as a run folder, for `evaluate`, `load_policy` and `train --resume`."""
    config, loop = chosen
    sharing = part.layout.sharing  # which says how the replay lies, and which a run that goes on needs again
    devices = run.seeds * sharing if sharing > 1 else None
    run = dataclasses.replace(run, out=folder, seed_mapping=part.layout.mapping, devices=devices)
    state = dataclasses.replace(state, numbers={})  # they are in its config
    run_folder.create(folder, overwrite=True)
    run_folder.write_config(folder, algorithm, run, loop, config, env.spec)
    save_state(folder, part.plan.bounds[-1], state)
    run_folder.write_evaluation(folder, run.eval_episodes, won.seeds)
