"""Speed of environments alone, without learning."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.metrics import accumulate
from ddpg_jax.core.types import Env
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs.load import Load


def endless(env: Env) -> Env:
    """Returns the same environment with episodes that never end."""

    def step(key, state, action):
        state, transition = env.step(key, state, action)
        return state, replace(transition, discount=jnp.ones(()), truncated=jnp.zeros((), bool))

    return env._replace(step=step)


def random_steps(env: Env, reset_mode: Any, num_envs: int) -> Callable[[int], float]:
    """Prepares random actions without learning; with `reset_mode` None episodes never end and nothing is reset.

    Returns:
      advance(length) -> seconds; the first call compiles, every call refreshes the pool of initial states once.
    """
    vec = vectorize(env, num_envs, reset_mode or "cached")
    bare = jax.vmap(endless(env).step)

    def step(state, vector_step):
        act_key, step_key = jax.random.split(jax.random.fold_in(jax.random.key(1), vector_step))
        action = jax.random.uniform(act_key, (num_envs, env.spec.action_size), minval=-1.0)
        if reset_mode is None:
            running, transition = bare(jax.random.split(step_key, num_envs), state.env, action)
            state = replace(state, env=running)
        else:
            state, transition, _ = vec.step(step_key, state, action)
        return state, {"reward": (transition.reward.sum(), jnp.ones(()))}

    @jax.jit
    def chunk(state, length):
        return accumulate(step, vec.refresh(jax.random.key(2), state), jnp.int32(0), length)

    state = jax.jit(vec.reset)(jax.random.key(0))

    def advance(length):
        began = time.perf_counter()
        jax.block_until_ready(chunk(state, length))
        return time.perf_counter() - began

    return advance


def environments(seconds: float = 3.0, name: str = "Pendulum-v1", num_envs: int = 1024) -> dict[str, Any]:
    """Returns environment steps per second without learning, beside those of episodes that never end."""
    env = make_env(name)
    runs = {mode: random_steps(env, mode, num_envs) for mode in ("pool", None)}
    for run in runs.values():
        run(1)
    length = max(1, round(100 * 0.3 / runs["pool"](100)))
    times: dict[Any, list[float]] = {mode: [] for mode in runs}
    load = Load()
    for _ in range(max(3, round(seconds / 0.6))):
        for mode, run in runs.items():
            times[mode].append(run(length))
    pool, bare = (num_envs * length / statistics.median(took) for took in times.values())
    row = {"workload": f"{num_envs} envs alone", "env_steps_per_s": pool, "limit_env_steps_per_s": bare}
    return row | {"share": pool / bare, "other_cores": load.others()}
