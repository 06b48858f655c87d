"""Measures the cost of the loop: step time against replay capacity, and against the reset mode.

    python benchmarks/loop.py          # both parts
    python benchmarks/loop.py resets   # one of them: replay, resets

Writes benchmarks/results/loop.json: medians of `REPEATS` runs of a compiled chunk, in microseconds per vector step.
Reset modes are timed with random actions and without learning, interleaved with each other and with an environment
whose episodes never end; `share_of_endless` is the time of the latter divided by that of the mode.
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
from ddpg_jax.runs.env_speed import random_steps

RESULTS = Path(__file__).parent / "results" / "loop.json"
REPEATS = 7
RESETS = [("Pendulum-v1", {}, 1024), ("brax/inverted_pendulum", {}, 64), ("brax/ant", {"backend": "spring"}, 64)]


def replay_capacities(steps: int = 2000) -> list[dict[str, Any]]:
    """Times whole train steps of DDPG (64-64, minibatch 64) on Pendulum-v1 by capacity and seeds."""
    env = make_env("Pendulum-v1")
    agent = ddpg(DDPGConfig(hidden=(64, 64), norm="none"), env.spec)
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
    """Times environment steps alone, by reset mode."""
    rows = []
    for name, options, num_envs in RESETS:
        env = make_env(name, **options)
        modes = (None, "pool", "every-step", "cached")
        runs = {mode: random_steps(env, mode, num_envs) for mode in modes}
        times: dict[Any, list[float]] = {mode: [] for mode in modes}
        for repeat in range(REPEATS + 1):
            for mode, run in runs.items():
                seconds = run(steps)
                if repeat:
                    times[mode].append(seconds / steps * 1e6)
        median = {mode: statistics.median(values) for mode, values in times.items()}
        for mode in modes[1:]:
            row = {"env": name, **options, "num_envs": num_envs, "reset_mode": mode}
            rows.append(row | {"us_per_step": median[mode], "share_of_endless": median[None] / median[mode]})
            print(rows[-1])
    return rows


def main() -> None:
    """Measures the parts named on the command line, or both, and writes them to the file."""
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
