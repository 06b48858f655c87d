"""The host's side of a run: drive it chunk by chunk, write down what happened."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax import hosts, metrics, plots, run_folder
from ddpg_jax.checkpoint import Checkpoints, load_state
from ddpg_jax.envs import make_env
from ddpg_jax.evaluate import Evaluation, evaluate
from ddpg_jax.plan import (
    Plan,
    Programs,
    RunConfig,
    evaluation_keys,
    make_plan,
    options_of,
    placement,
    programs,
    seed_keys,
)
from ddpg_jax.policy import load_learners
from ddpg_jax.seeds import Layout, deal
from ddpg_jax.settings import INT32, SettingError, check
from ddpg_jax.train import LoopConfig, means
from ddpg_jax.types import Env, TrainState


class Result(NamedTuple):
    """What a finished run leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # per seed: seed, mean, std, min, max, length
    state: TrainState
    run: RunConfig


def summarise(run: RunConfig, result: Evaluation) -> list[dict[str, Any]]:
    """A row per seed: its number, and mean, spread and length of its episodes."""
    rows = []
    for i, returns in enumerate(np.asarray(result.returns, np.float64)):
        stats = {"mean": returns.mean(), "std": returns.std(), "min": returns.min(), "max": returns.max()}
        stats["length"] = np.asarray(result.lengths[i], np.float64).mean()
        rows.append({"seed": run.seed + i} | {name: metrics.number(value) for name, value in stats.items()})
    return rows


def run_experiment(
    algorithm: str,
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    announce: Callable[[str], None] = print,
    report: Callable[[dict[str, Any], Plan], None] = lambda row, plan: None,
) -> Result:
    """Trains, evaluates and writes a run folder.

    Args:
      algorithm: a name of the registry.
      config, loop, run: the settings.
      announce: told in words what happens next.
      report: given every row of metrics as it is written.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used.
    """
    job = _planned(algorithm, config, loop, run)
    hosts.once(lambda: _create(job, run.overwrite))
    _say(job, announce)
    announce("compiling")
    state = job.phases.start(job.keys(), config)
    return _drive(job, state, job.plan.bounds, True, 0.0, announce, report)


def resume_experiment(
    folder: str | Path,
    steps: int | None = None,
    devices: int | None = None,
    announce: Callable[[str], None] = print,
    report: Callable[[dict[str, Any], Plan], None] = lambda row, plan: None,
) -> Result:
    """Goes on with a run from its newest checkpoint, as if it had never stopped: to the bit on the same machine.

    Args:
      folder: the run folder.
      steps: environment steps per seed to train to, if more than was asked for.
      devices: how many to use now; seeds are dealt to them anew.
      announce, report: as for `run_experiment`.

    Raises:
      SettingError: there is nothing to go on from or nothing left to do, or the devices cannot take the run over.
    """
    folder = Path(folder)
    stored = run_folder.read_config(folder)
    before = check(RunConfig(**stored["run"]))
    changed = {name: value for name, value in (("steps", steps), ("devices", devices)) if value is not None}
    run = dataclasses.replace(before, **changed, out=folder)
    job = _planned(stored["algorithm"], stored["config"], LoopConfig(**stored["loop"]), run)
    shared = deal(before.seeds, before.devices)[1] if before.devices else 1
    if job.layout.sharing != shared:
        raise SettingError(
            f"devices must be such that {shared} of them train{'s' * (shared == 1)} an agent, as before, not "
            f"{job.layout.sharing}: its data lie divided among them."
        )
    shapes = job.phases.shapes(jax.eval_shape(lambda: seed_keys(run)), job.config)
    clock, state = load_state(folder, shapes, job.layout)
    left = [bound for bound in job.plan.bounds if bound > clock]
    if not left:
        raise SettingError(f"steps must be above the {job.plan.steps(clock):,} that {folder} has, not {run.steps:,}.")
    hosts.once(lambda: _create(job, None))
    _say(job, announce)
    announce(f"going on from {job.plan.steps(clock):,} steps")
    seconds = metrics.cut(folder, job.plan.steps(clock)) if hosts.first() else 0.0
    return _drive(job, state, [clock, *left], False, seconds, announce, report)


class Job(NamedTuple):
    """A run, planned, before anything is compiled."""

    algorithm: str
    config: Any
    loop: LoopConfig
    run: RunConfig
    env: Env
    layout: Layout
    phases: Programs
    plan: Plan

    @property
    def folder(self) -> Path:
        """The run folder."""
        assert self.run.out is not None
        return self.run.out

    def keys(self) -> jax.Array:
        """[S] of the seeds."""
        return seed_keys(self.run, self.layout)


def _planned(algorithm: str, config: Any, loop: LoopConfig, run: RunConfig) -> Job:
    for settings_of in (config, loop, run):
        check(settings_of)
    env = make_env(run.env, **options_of(run))
    layout = placement(config, loop, run, env)
    folder = Path(run.out or f"runs/{algorithm}-{run.env.replace('/', '-')}")
    run = dataclasses.replace(run, out=folder, seed_mapping=layout.mapping)
    phases = programs(env, algorithm, loop, run.eval_episodes, layout)
    return Job(algorithm, config, loop, run, env, layout, phases, make_plan(env, phases, config, loop, run, layout))


def _create(job: Job, overwrite: bool | None) -> None:
    """Makes the run folder, unless it is to be gone on with (None), and writes config.json."""
    if overwrite is not None:
        run_folder.create(job.folder, overwrite)
    run_folder.write_config(job.folder, job.algorithm, job.run, job.loop, job.config, job.env.spec)


def _say(job: Job, announce: Callable[[str], None]) -> None:
    run = job.run
    seeds = f"seeds {run.seed} to {run.seed + run.seeds - 1}{job.layout.describe(run.seeds)}"
    announce(f"{job.algorithm} on {job.env.spec.name}, {seeds}: {job.plan.describe()}")


def _drive(
    job: Job,
    state: TrainState,
    bounds: Sequence[int],
    first: bool,
    seconds: float,
    announce: Callable[[str], None],
    report: Callable[[dict[str, Any], Plan], None],
) -> Result:
    """Trains and evaluates from bound to bound, with a row of metrics and perhaps a checkpoint after each chunk."""
    folder, run, plan = job.folder, job.run, job.plan
    keys, began, saved = job.keys(), time.perf_counter() - seconds, time.perf_counter()
    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(Checkpoints(folder, run.keep_checkpoints)))
        seeds = [run.seed + i for i in range(run.seeds)]
        writer = stack.enter_context(closing(metrics.Writer(folder, seeds))) if hosts.first() else None
        for clock, after, result, measured in stages(job.phases, state, keys, job.config, bounds, first):
            values, result = hosts.fetch((measured, result))
            row = metrics.row(plan.steps(clock), plan.updates(clock), time.perf_counter() - began, values)
            if writer:
                writer.write(row)
            report(row, plan)
            due = run.checkpoint_seconds is not None and time.perf_counter() - saved >= run.checkpoint_seconds
            if clock == bounds[-1] or hosts.agreed(due):
                score = np.mean(values["eval_return"])
                checkpoints.save(clock, after, float(score) if np.isfinite(score) else -math.inf)
                saved = time.perf_counter()
        announce(f"writing {folder}")
    table = summarise(run, result)
    if hosts.first():
        run_folder.write_evaluation(folder, run.eval_episodes, table)
        plots.learning_curve(metrics.read(folder), f"{job.algorithm} on {job.env.spec.name}", folder / "curve.png")
    return Result(folder, table, after, run)


def stages(
    phases: Programs, state: TrainState, keys: jax.Array, config: Any, bounds: Sequence[int], first: bool = True
) -> Iterator[tuple[int, TrainState, Evaluation, dict[str, jax.Array]]]:
    """Trains from bound to bound: after each, (clock, state, evaluation, metrics [S]); the state is given away after.

    Args:
      state, keys: of all seeds, at the clock `bounds[0]`.
      first: whether the policies are evaluated before they are trained, too.
    """
    for previous, clock in itertools.pairwise([bounds[0]] * first + list(bounds)):
        totals: dict[str, Any] = {}
        if clock > previous:
            state, totals = phases.chunk(state, previous, clock - previous, config)
        result = phases.test((state.learner, evaluation_keys(keys, clock)), config)
        returns = {"eval_return": result.returns.mean(axis=1), "eval_length": result.lengths.mean(axis=1)}
        yield clock, state, result, means(totals) | returns


def evaluate_run(folder: Path, episodes: int, seed: int = 0) -> dict[str, Any]:
    """Plays fresh episodes with every policy of a run folder.

    Returns:
      environment, algorithm, episodes, and under "seeds" a row per seed as in `summarise`.

    Raises:
      SettingError: the folder holds no run of ours, or a number cannot be used.
    """
    for name, number, low in (("episodes", episodes, 1), ("seed", seed, 0)):
        if not low <= number <= INT32:
            raise SettingError(f"{name} must be from {low} to {INT32:,}, not {number}.")
    agent, learners, stored = load_learners(folder)
    run = check(RunConfig(**stored["run"] | {"eval_episodes": episodes, "out": folder}))
    env = make_env(run.env, **options_of(run))
    keys = jax.random.split(evaluation_keys(jax.random.key(seed)[None], 0)[0], run.seeds)

    def play(key, learner):
        return evaluate(key, env, lambda obs: agent.act(learner, obs), episodes)

    table = summarise(run, jax.jit(jax.vmap(play))(keys, learners))
    return {"environment": env.spec.name, "algorithm": stored["algorithm"], "episodes": episodes, "seeds": table}
