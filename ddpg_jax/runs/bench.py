"""Training speed of this machine beside the limit that its matrix products set.

A workload is one configuration of the whole loop. Its limit is the time of the matrix products of one update, each
timed alone at its actual shape: the speed if everything else were free.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.metrics import accumulate
from ddpg_jax.core.types import Env
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.devices.backend import cores
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs.matmul_limit import Rate, Workload, begin_limit
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys


def begin(workload: Workload) -> Callable[[int], Rate]:
    """Compiles a workload and fills its replay.

    Returns:
      advance(length): trains `length` vector steps of every seed and waits for them; the first call compiles.
    """
    env, config, loop, run = workload.parts()
    phases = make_programs(env, workload.algorithm, loop, 1, choose_layout(config, loop, run, env))
    state = jax.block_until_ready(phases.start(seed_keys(run), config))
    vector_step = -(-loop.warmup_steps // loop.num_envs)

    def advance(length):
        nonlocal state, vector_step
        began = time.perf_counter()
        state, _ = jax.block_until_ready(phases.chunk(state, vector_step, length, config))
        vector_step += length
        steps = length * run.seeds
        return Rate(steps * loop.updates_per_step, steps * loop.num_envs, time.perf_counter() - began)

    return advance


def paced(advance: Callable[[int], Rate], seconds: float = 0.5) -> int:
    """Returns a chunk length that takes about `seconds`; compiles the workload on the way."""
    advance(1)
    length = 1
    while (took := advance(length).seconds) < seconds / 4:
        length *= 4 if took < seconds / 16 else 2
    return max(1, round(length * seconds / took))


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


# What `ddpg-jax bench` measures: each in a few seconds on two cores.
CLASSIC = Workload()
SMALL = Workload(hidden=(64, 64), batch_size=64)
MASSIVE = Workload(num_envs=1024, batch_size=1024, replay_capacity=1_000_000, warmup_steps=10_240)
MANY = Workload(seeds=8)


def workloads() -> dict[str, Workload]:
    """Returns the rows of the table; on an accelerator also larger ones, which fill it."""
    rows = {"classic": CLASSIC, "small": SMALL, "massive": MASSIVE, "8 seeds": MANY}
    if jax.default_backend() != "cpu":
        rows |= {f"{seeds} seeds": MANY._replace(seeds=seeds) for seeds in (64, 256)}
        rows["16384 environments"] = MASSIVE._replace(num_envs=16384, batch_size=32768, warmup_steps=163_840)
    return rows


def table(seconds: float = 3.0) -> Iterator[dict[str, Any]]:
    """Measures and yields a row per workload, then one for environments alone."""
    for name, workload in workloads().items():
        yield {"workload": name} | beside_limit(workload, seconds)
    yield environments(seconds)


def beside_limit(workload: Workload, seconds: float = 3.0) -> dict[str, float]:
    """Returns the rates of a workload and of its limit, measured alternately; medians of five rounds in `seconds`."""
    began = time.perf_counter()
    runs = [begin(workload)]
    runs[0](1)
    first = time.perf_counter() - began
    runs.append(begin_limit(workload))
    lengths = [paced(run, seconds / 10) for run in runs]
    trained, most = zip(
        *([run(length) for run, length in zip(runs, lengths, strict=True)] for _ in range(5)), strict=True
    )
    updates, limit = (statistics.median(rate.updates / rate.seconds for rate in rates) for rates in (trained, most))
    return {
        "updates_per_s": updates,
        "env_steps_per_s": statistics.median(rate.env_steps / rate.seconds for rate in trained),
        "first_update_s": first,
        "limit_updates_per_s": limit,
        "share": updates / limit,
    }


def environments(seconds: float = 3.0, name: str = "Pendulum-v1", num_envs: int = 1024) -> dict[str, Any]:
    """Returns environment steps per second without learning, beside those of episodes that never end."""
    env = make_env(name)
    runs = {mode: random_steps(env, mode, num_envs) for mode in ("pool", None)}
    for run in runs.values():
        run(1)
    length = max(1, round(100 * 0.3 / runs["pool"](100)))
    times: dict[Any, list[float]] = {mode: [] for mode in runs}
    for _ in range(max(3, round(seconds / 0.6))):
        for mode, run in runs.items():
            times[mode].append(run(length))
    pool, bare = (num_envs * length / statistics.median(took) for took in times.values())
    row = {"workload": f"{num_envs} envs alone", "env_steps_per_s": pool, "limit_env_steps_per_s": bare}
    return row | {"share": pool / bare}


def machine() -> str:
    """Returns the device, the cores and the version of jax in words."""
    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}, {cores()} CPU cores, jax {jax.__version__}"
