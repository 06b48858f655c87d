"""What the loop costs: step time against replay capacity, and against the policy of restarts.

    python benchmarks/loop.py            # both parts
    python benchmarks/loop.py resets   # one of them: replay, resets

Writes benchmarks/results/loop.json: medians of `REPEATS` runs of a compiled chunk, microseconds per vector step. The
restart policies are timed with random actions and no learning, in turn within each repeat, beside an environment
whose episodes never end; the share is that one's time over the policy's.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax

from ddpg_jax import DDPGConfig, LoopConfig, ddpg, make_env, trainer
from ddpg_jax.devices.backend import cores
from ddpg_jax.runs.bench import random_steps

RESULTS = Path(__file__).parent / "results" / "loop.json"
REPEATS = 7
RESTARTS = [("Pendulum-v1", {}, 1024), ("brax/inverted_pendulum", {}, 64), ("brax/ant", {"backend": "spring"}, 64)]


def replay_capacities(steps: int = 2000) -> list[dict[str, Any]]:
    """Whole train steps of DDPG (64-64, minibatch 64) on Pendulum-v1 by capacity and seeds."""
    env = make_env("Pendulum-v1")
    agent = ddpg(DDPGConfig(hidden=(64, 64)), env.spec)
    rows = []
    for seeds in (1, 8):
        for capacity in (10**4, 10**5, 10**6):
            run = trainer(env, agent, LoopConfig(batch_size=64, replay_capacity=capacity))
            keys = jax.random.split(jax.random.key(0), seeds)
            state = jax.jit(jax.vmap(lambda key, run=run: run.prefill(run.init(key))))(keys)
            chunk = jax.jit(jax.vmap(run.train, in_axes=(0, None, None)), donate_argnums=0)
            times = []
            for repeat in range(REPEATS + 1):  # the first one compiles
                began = time.perf_counter()
                state, _ = jax.block_until_ready(chunk(state, run.warmup + repeat * steps, steps))
                times.append((time.perf_counter() - began) / steps * 1e6)
            rows.append({"capacity": capacity, "seeds": seeds, "us_per_step": statistics.median(times[1:])})
            print(rows[-1])
    return rows


def resets(steps: int = 500) -> list[dict[str, Any]]:
    """Environment steps alone, by restart policy."""
    rows = []
    for name, options, num_envs in RESTARTS:
        env = make_env(name, **options)
        policies = (None, "pool", "every-step", "cached")
        runs = {policy: random_steps(env, policy, num_envs) for policy in policies}
        times: dict[Any, list[float]] = {policy: [] for policy in policies}
        for repeat in range(REPEATS + 1):
            for policy, run in runs.items():
                seconds = run(steps)
                if repeat:
                    times[policy].append(seconds / steps * 1e6)
        median = {policy: statistics.median(values) for policy, values in times.items()}
        for policy in policies[1:]:
            row = {"env": name, **options, "num_envs": num_envs, "reset_mode": policy}
            rows.append(row | {"us_per_step": median[policy], "share_of_endless": median[None] / median[policy]})
            print(rows[-1])
    return rows


def main() -> None:
    """Runs the parts named on the command line, or both, and writes them into the file."""
    parts = {"replay": replay_capacities, "resets": resets}
    chosen = sys.argv[1:] or list(parts)
    device = jax.devices()[0]
    result = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    result |= {
        "command": "python benchmarks/loop.py",
        "device": f"{device.platform}: {device.device_kind}, {cores()} of {os.cpu_count()} cores",
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "gymnax", "brax")},
    }
    for part in chosen:
        result[part] = parts[part]()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
