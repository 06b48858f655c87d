"""The host's side of a run: drive it chunk by chunk, write down what happened."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax import metrics, plots, run_folder
from ddpg_jax.checkpoint import save_state
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
from ddpg_jax.settings import INT32, SettingError, check
from ddpg_jax.train import LoopConfig, means
from ddpg_jax.types import TrainState


class Result(NamedTuple):
    """What a finished run leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # per seed: seed, mean, std, min, max, length
    state: TrainState


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
    for settings_of in (config, loop, run):
        check(settings_of)
    env = make_env(run.env, **options_of(run))
    folder = Path(run.out or f"runs/{algorithm}-{run.env.replace('/', '-')}")
    layout = placement(config, loop, run, env)
    run = dataclasses.replace(run, out=folder, seed_mapping=layout.mapping)
    phases = programs(env, algorithm, loop, run.eval_episodes, layout)
    plan = make_plan(env, phases, config, loop, run, layout)
    run_folder.create(folder, run.overwrite)
    run_folder.write_config(folder, algorithm, run, loop, config, env.spec)
    seeds = f"seeds {run.seed} to {run.seed + run.seeds - 1}{layout.describe(run.seeds)}"
    announce(f"{algorithm} on {env.spec.name}, {seeds}: {plan.describe()}")

    state, result = _drive(phases, plan, config, run, announce, report)
    announce(f"writing {folder}")
    save_state(folder, plan.bounds[-1], state)
    table = summarise(run, result)
    run_folder.write_evaluation(folder, run.eval_episodes, table)
    plots.learning_curve(metrics.read(folder), f"{algorithm} on {env.spec.name}", folder / "curve.png")
    return Result(folder, table, state)


def _drive(
    phases: Programs,
    plan: Plan,
    config: Any,
    run: RunConfig,
    announce: Callable[[str], None],
    report: Callable[[dict[str, Any], Plan], None],
) -> tuple[TrainState, Evaluation]:
    """Compiles, then trains and evaluates, writing a row of metrics after each chunk."""
    assert run.out is not None
    keys, began = seed_keys(run), time.perf_counter()
    announce("compiling")
    begun = phases.start(keys, config)
    writer = metrics.Writer(run.out, [run.seed + i for i in range(run.seeds)])
    for clock, state, result, measured in stages(phases, begun, keys, config, plan.bounds):  # noqa: B007
        seconds = time.perf_counter() - began
        row = metrics.row(plan.steps(clock), plan.updates(clock), seconds, jax.device_get(measured))
        writer.write(row)
        report(row, plan)
    writer.close()
    return state, result


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
