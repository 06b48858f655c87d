"""What the loop costs: step time against replay capacity, and against the policy of restarts.

    python benchmarks/loop.py            # both parts
    python benchmarks/loop.py restarts   # one of them: replay, restarts

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax import DDPGConfig, LoopConfig, ddpg, make_env, trainer
from ddpg_jax.envs.door import vectorise
from ddpg_jax.types import Env

RESULTS = Path(__file__).parent / "results" / "loop.json"
REPEATS = 7
RESTARTS = [("Pendulum-v1", {}, 1024), ("brax/inverted_pendulum", {}, 64), ("brax/ant", {"backend": "spring"}, 64)]


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes, its result included."""
    began = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - began


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


def endless(env: Env) -> Env:
    """The same environment, whose episodes never end."""

    def step(key, state, action):
        state, transition = env.step(key, state, action)
        return state, transition.replace(discount=jnp.ones(()), truncated=jnp.zeros((), bool))

    return env._replace(step=step)


def rollout(env: Env, restart: Any, num_envs: int, steps: int) -> Callable[[], Any]:
    """A compiled chunk of random actions; `restart` None means that episodes never end and nothing restarts."""
    vec = vectorise(endless(env) if restart is None else env, num_envs, restart or "cached")

    def step(clock, carry):
        state, total = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(jax.random.key(1), clock))
        action = jax.random.uniform(act_key, (num_envs, env.spec.action_size), minval=-1.0)
        if restart is None:
            keys = jax.random.split(step_key, num_envs)
            running, transition = jax.vmap(endless(env).step)(keys, state.env, action)
            state = state.replace(env=running)
        else:
            state, transition, _ = vec.step(step_key, state, action)
        return state, total + transition.reward.sum()

    @jax.jit
    def chunk(state):
        state = vec.refresh(jax.random.key(2), state)
        return jax.lax.fori_loop(0, steps, step, (state, jnp.zeros(())))

    state = jax.jit(vec.reset)(jax.random.key(0))
    return lambda: chunk(state)


def restarts(steps: int = 500) -> list[dict[str, Any]]:
    """Environment steps alone, by restart policy."""
    rows = []
    for name, options, num_envs in RESTARTS:
        env = make_env(name, **options)
        policies = (None, "pool", "every-step", "cached")
        runs = {policy: rollout(env, policy, num_envs, steps) for policy in policies}
        times: dict[Any, list[float]] = {policy: [] for policy in policies}
        for repeat in range(REPEATS + 1):
            for policy, run in runs.items():
                seconds = timed(run)
                if repeat:
                    times[policy].append(seconds / steps * 1e6)
        median = {policy: statistics.median(values) for policy, values in times.items()}
        for policy in policies[1:]:
            row = {"env": name, **options, "num_envs": num_envs, "restart": policy}
            rows.append(row | {"us_per_step": median[policy], "share_of_endless": median[None] / median[policy]})
            print(rows[-1])
    return rows


def main() -> None:
    """Runs the parts named on the command line, or both, and writes them into the file."""
    parts = {"replay": replay_capacities, "restarts": restarts}
    chosen = sys.argv[1:] or list(parts)
    device = jax.devices()[0]
    result = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    result |= {
        "command": "python benchmarks/loop.py",
        "device": f"{device.platform}: {device.device_kind}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores",
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "gymnax", "brax")},
    }
    for part in chosen:
        result[part] = parts[part]()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
