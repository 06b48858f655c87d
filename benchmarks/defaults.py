"""Searches for one set of defaults per algorithm over half of the league's tasks together.

    python benchmarks/defaults.py --minutes 60     # every candidate on the tasks of TUNING; resumes
    python benchmarks/defaults.py --report         # prints the tables from what is there

A candidate is a set of settings that is the same for every task. What counts is the last evaluation of a run, of seeds
that the league's table does not have, relative to that of uniform random actions (0) and the best that is known of a
task (1). `results/defaults/` has every seed; a measurement that is there is not repeated. The other half of the
tasks and other seeds say whether a choice is any good: the league's own table, before and after.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import uniform

from ddpg_jax import make_env, sweep
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.devices.backend import prepare
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.statistics import iqm, stratified

sys.path.insert(0, str(Path(__file__).parent))
from tasks import CPU_TASKS, LEAGUE, OWN_TASKS, TUNING, option
from tune import SEEDS, groups_of

RESULTS = Path(__file__).parent / "results" / "defaults"
RANDOM = RESULTS / "random.json"
LEARNING = Path(__file__).parent / "results" / "learning"
FIRST_SEED = 100
# What a candidate sets; everything else is at the defaults before the search.
BEFORE = {"actor_lr": 1e-3, "critic_lr": 1e-3, "tau": 0.005, "norm": "none"}
NOISE = {"noise": "gaussian", "noise_scale": 0.1}
SLOW, FAST_TARGET = {"actor_lr": 3e-4}, {"tau": 0.01}
PINK, LAYER = {"noise": "pink"}, {"norm": "layer"}
DETERMINISTIC = [
    {},
    SLOW,
    FAST_TARGET,
    SLOW | FAST_TARGET,
    SLOW | LAYER,
    FAST_TARGET | LAYER,
    SLOW | FAST_TARGET | LAYER,
    SLOW | PINK | {"noise_scale": 0.2},
    SLOW | FAST_TARGET | PINK | {"noise_scale": 0.2},
    SLOW | FAST_TARGET | LAYER | PINK | {"noise_scale": 0.2},
    SLOW | FAST_TARGET | LAYER | PINK | {"noise_scale": 0.3},
]
ALL_SLOW = SLOW | {"critic_lr": 3e-4}
STOCHASTIC = [
    {},
    {"actor_lr": 1e-3},
    FAST_TARGET,
    {"temperature_lr": 1e-3},
    {"target_entropy": -0.5},
    LAYER,
    FAST_TARGET | LAYER,
    PINK,
    FAST_TARGET | PINK,
    LAYER | PINK,
    FAST_TARGET | LAYER | PINK,
]
CANDIDATES = {
    "ddpg": [BEFORE | NOISE | changes for changes in DETERMINISTIC],
    "td3": [
        BEFORE | NOISE | changes
        for changes in [*(one for one in DETERMINISTIC if "noise" not in one), ALL_SLOW, ALL_SLOW | LAYER]
    ],
    "sac": [
        BEFORE | SLOW | {"noise": "gaussian", "temperature_lr": 3e-4, "target_entropy": -1.0} | changes
        for changes in STOCHASTIC
    ],
}


def name_of(algorithm: str, candidate: dict[str, Any]) -> str:
    """Returns the settings in which a candidate differs from the first, the defaults before the search."""
    first = CANDIDATES[algorithm][0]
    return ", ".join(f"{name} {value}" for name, value in candidate.items() if value != first[name]) or "before"


def stored(path: Path) -> dict[str, Any]:
    """Returns what was measured so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep(path: Path, name: str, value: Any) -> dict[str, Any]:
    """Adds a measurement to a file and returns all that it holds."""
    RESULTS.mkdir(exist_ok=True)
    found = stored(path) | {name: value}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def random_return(task: str) -> float:
    """Returns the mean return of uniform random actions, over the episodes of 128 environments."""
    length = option(task, "--episode-length")
    backend = {"backend": option(task, "--backend")} if option(task, "--backend") else {}
    env = make_env(option(task, "--env"), episode_length=int(length) if length else None, **backend)
    vec = vectorize(env, 128, "every-step")

    def step(state, vector_step):
        act_key, env_key = jax.random.split(jax.random.fold_in(jax.random.key(1), vector_step))
        state, _, metrics = vec.step(env_key, state, uniform(act_key, (128, env.spec.action_size), minval=-1.0))
        return state, metrics["episode_return"]

    steps = jnp.arange(env.spec.max_decisions)
    total, count = jax.jit(lambda: jax.lax.scan(step, vec.reset(jax.random.key(0)), steps)[1])()
    return float(total.sum() / count.sum())


def best_return(task: str) -> float:
    """Returns the best that is known of a task: the best seed's final return in the files of the league."""
    files = LEARNING.glob(f"{task}--*.json")
    seeds = [seed for file in files for seed in json.loads(file.read_text(encoding="utf-8"))["seeds"]]
    return max(seed["mean"] for seed in seeds if seed["mean"] is not None)


def score(task: str, returns: Any, zero: float) -> np.ndarray:
    """Returns returns relative to random actions (0) and the best that is known (1), not below -1."""
    relative = (np.asarray(returns, float) - zero) / (best_return(task) - zero)
    return np.maximum(np.nan_to_num(relative, nan=-1.0), -1.0)


def try_all(algorithm: str, task: str, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """Trains some seeds of every candidate on a task; returns the last evaluation of every seed, by candidate."""
    loop, run = groups_of(task, seed=FIRST_SEED, evaluations=4)
    config = algorithms()[algorithm].config(hidden=(64, 64))
    began = time.perf_counter()
    result = sweep(algorithm, candidates, config, loop, run)
    with (result.folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    returns: dict[str, list[float]] = {}
    for row in rows:
        returns.setdefault(name_of(algorithm, candidates[int(row["trial"])]), []).append(float(row["mean"] or "nan"))
    return {"returns": returns, "seconds": round(time.perf_counter() - began, 1)}


def search(algorithm: str, until: float) -> None:
    """Measures what is missing of an algorithm, until the time is over."""
    path = RESULTS / f"{algorithm}.json"
    for task in TUNING:
        done = stored(path).get(task, {"returns": {}, "seconds": 0})
        missing = [one for one in CANDIDATES[algorithm] if name_of(algorithm, one) not in done["returns"]]
        if missing and time.time() < until:
            new = try_all(algorithm, task, missing)
            both = {"returns": done["returns"] | new["returns"], "seconds": done["seconds"] + new["seconds"]}
            keep(path, task, both)


def random_returns() -> dict[str, float]:
    """Returns the return of random actions on every task of the league and beside others, measured if not known."""
    found = stored(RANDOM)
    for task in (*CPU_TASKS, *OWN_TASKS):
        if task not in found:
            found = keep(RANDOM, task, random_return(task))
    return found


def pooled_iqm(*scores: Any, axis: int = -1) -> Any:
    """Returns the interquartile mean of the scores of all tasks and seeds."""
    return iqm(np.concatenate(scores, axis=axis), axis)


def table(algorithm: str) -> list[list[str]]:
    """Returns a row per candidate, the best first: its score, interval and name, the mean of all tasks and of each."""
    results, random, rows = stored(RESULTS / f"{algorithm}.json"), stored(RANDOM), []
    for candidate in CANDIDATES[algorithm]:
        name = name_of(algorithm, candidate)
        tasks = [task for task in TUNING if name in results.get(task, {"returns": {}})["returns"]]
        if tasks:
            scores = [score(task, results[task]["returns"][name], random[task]) for task in tasks]
            low, high = stratified(scores, pooled_iqm)
            each = ", ".join(f"{one.mean():.2f}" for one in scores)
            mean = f"{np.mean([one.mean() for one in scores]):.2f}"
            rows.append([f"{pooled_iqm(*scores):.3f}", f"{low:.3f} to {high:.3f}", name, mean, each])
    return sorted(rows, reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=LEAGUE, default=list(LEAGUE))
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    if not args.report:
        prepare(SEEDS * len(CANDIDATES["ddpg"]))
        until = time.time() + 60 * args.minutes
        for algorithm in args.algorithms:
            search(algorithm, until)
    random_returns()
    for algorithm in LEAGUE:
        print(algorithm, *TUNING)
        for row in table(algorithm):
            print(*row, sep=" | ")


if __name__ == "__main__":
    main()
