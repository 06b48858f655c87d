"""Searches for one set of defaults per algorithm over the league's tasks together, one half of them at a time.

    python benchmarks/defaults.py --minutes 60             # every candidate on the tasks of TUNING; resumes
    python benchmarks/defaults.py --half held-out --candidates default layer-norm
    python benchmarks/defaults.py --report                 # prints the tables from what is there

A candidate is a set of flags that is the same for every task. What counts is the return of the final policies on new
episodes, of seeds that the league's table does not have, relative to that of uniform random actions (0) and the best
that is known of a task (1). `results/defaults.json` has every seed; a measurement that is there is not repeated.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import uniform

from ddpg_jax import make_env
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.runs.statistics import interval

sys.path.insert(0, str(Path(__file__).parent))
from learning import measure, option
from tasks import LEAGUE, TASKS

FILE = Path(__file__).parent / "results" / "defaults.json"
SEEDS, FIRST_SEED = 4, 100
TUNING = ("pendulum", "lqr", "mountain-car", "reacher", "inverted-double-pendulum")
HELD_OUT = ("reacher-misc", "inverted-pendulum", "pusher", "swimmer", "halfcheetah")
HALVES = {"tuning": TUNING, "held-out": HELD_OUT}
# The flags of each candidate; those that an algorithm does not have are left out.
CANDIDATES = {
    "default": "",
    "layer-norm": "--norm layer",
    "small-actor-lr": "--actor-lr 3e-4",
    "small-lr": "--actor-lr 3e-4 --critic-lr 3e-4",
    "normalize-obs": "--normalize-obs",
    "fast-target": "--tau 0.01",
    "layer-norm, small-actor-lr": "--norm layer --actor-lr 3e-4",
    "layer-norm, normalize-obs": "--norm layer --normalize-obs",
    "layer-norm, normalize-obs, small-actor-lr": "--norm layer --normalize-obs --actor-lr 3e-4",
}


def stored() -> dict[str, Any]:
    """Returns what was measured so far."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"random": {}, "runs": {}}


def keep(kind: str, name: str, value: Any) -> None:
    """Adds a measurement to the file."""
    found = stored()
    found[kind][name] = value
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


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
    files = (FILE.parent / "learning").glob(f"{task}--*.json")
    seeds = [seed for file in files for seed in json.loads(file.read_text(encoding="utf-8"))["seeds"]]
    return max(seed["mean"] for seed in seeds if seed["mean"] is not None)


def score(task: str, returns: Any, zero: float) -> np.ndarray:
    """Returns returns relative to random actions (0) and the best that is known (1), not below -1."""
    return np.maximum((np.asarray(returns, float) - zero) / (best_return(task) - zero), -1.0)


def run(half: str, candidates: list[str], algorithms: list[str], until: float) -> None:
    """Measures what is missing, candidates in turn for each task, until the time is over."""
    for task in HALVES[half]:
        if task not in stored()["random"]:
            keep("random", task, random_return(task))
        for algorithm in algorithms:
            for candidate in candidates:
                name = f"{algorithm} | {candidate} | {task}"
                if name in stored()["runs"] or time.time() > until:
                    continue
                flags = f"{algorithm} {TASKS[task]} {CANDIDATES[candidate]} --seed {FIRST_SEED}"
                found = measure(flags, SEEDS, f"defaults-{task}-{algorithm}")
                if found is None:
                    return
                row = {"returns": [seed["mean"] for seed in found["seeds"]], "seconds": found["seconds"]}
                keep("runs", name, row | {"device": found["device"]})
                print(f"{name}: {np.mean([seed['mean'] or np.nan for seed in found['seeds']]):,.1f}", flush=True)


def table(half: str) -> list[list[str]]:
    """Returns a row per algorithm and candidate: the interquartile mean of the scores of all tasks and seeds."""
    found, rows = stored(), []
    for algorithm in LEAGUE:
        for candidate in CANDIDATES:
            names = [f"{algorithm} | {candidate} | {task}" for task in HALVES[half]]
            done = [name for name in names if name in found["runs"]]
            if not done:
                continue
            scores = [
                score(task, np.nan_to_num(np.array(found["runs"][name]["returns"], float), nan=-1e9), zero)
                for task, name in zip(HALVES[half], names, strict=True)
                if name in found["runs"] and (zero := found["random"].get(task)) is not None
            ]
            middle = interval(np.concatenate(scores))
            each = ", ".join(f"{one.mean():.2f}" for one in scores)
            rows.append([algorithm, candidate, f"{middle.iqm:.3f}", f"{middle.low:.3f} to {middle.high:.3f}", each])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, default="tuning")
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--algorithms", nargs="+", choices=LEAGUE, default=list(LEAGUE))
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    if not args.report:
        run(args.half, args.candidates, args.algorithms, time.time() + 60 * args.minutes)
    for half in HALVES:
        for row in table(half):
            print(half, *row, sep=" | ")


if __name__ == "__main__":
    main()
