"""Times the physics of Brax's ant alone, without agent or loop, under whichever jax runs this file.

    taskset -c 0 python benchmarks/physics.py                               # ours
    taskset -c 0 benchmarks/peers/.venv/brax/bin/python benchmarks/physics.py   # with the pinned versions of Brax SAC
    XLA_FLAGS=--xla_cpu_use_fusion_emitters=false taskset -c 0 python benchmarks/physics.py

Each command adds a row to benchmarks/results/physics.json, replacing one with the same versions and flags. The script
needs jax and brax but not ddpg_jax, so that it runs where ddpg_jax cannot be installed.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import jax
from brax import envs

RESULTS = Path(__file__).parent / "results" / "physics.json"
NUM_ENVS, STEPS, REPEATS = 1024, 5, 7


def milliseconds(backend: str) -> float:
    """Returns the median time of a vector step with random actions."""
    raw = envs.get_environment("ant", backend=backend)

    def step(state: Any, action: jax.Array) -> Any:
        return raw.step(state.replace(info=dict(state.info), metrics=dict(state.metrics)), action)

    def body(index: Any, state: Any) -> Any:
        action_key = jax.random.fold_in(jax.random.key(1), index)
        return jax.vmap(step)(state, jax.random.uniform(action_key, (NUM_ENVS, raw.action_size), minval=-1, maxval=1))

    steps = jax.jit(lambda state: jax.lax.fori_loop(0, STEPS, body, state))
    state = jax.block_until_ready(steps(jax.jit(jax.vmap(raw.reset))(jax.random.split(jax.random.key(0), NUM_ENVS))))
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        state = jax.block_until_ready(steps(state))
        times.append((time.perf_counter() - began) / STEPS * 1e3)
    return statistics.median(times)


def main() -> None:
    """Measures and writes a row."""
    about = {name: importlib.metadata.version(name) for name in ("jax", "brax")}
    about |= {"flags": os.environ.get("XLA_FLAGS", ""), "cores": len(os.sched_getaffinity(0))}
    about |= {"device": str(jax.devices()[0].device_kind), "machine": platform.machine()}
    row = about | {"num_envs": NUM_ENVS, "spring_ms": round(milliseconds("spring"), 1)}
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = [old for old in rows if any(old.get(name) != value for name, value in about.items())] + [row]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
