"""How fast this machine trains, beside how fast its matrix products alone would let it.

A workload is one configuration of the whole loop. Its limit is the time of the matrix products of one update, each
measured alone at its very shape: what an implementation by these products would reach if all else cost nothing.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.runs.registry import algorithms
from ddpg_jax.devices.backend import cores
from ddpg_jax.envs.make import make_env
from ddpg_jax.core.environment import vectorize
from ddpg_jax.runs.plan import RunConfig, placement, programs, seed_keys
from ddpg_jax.devices.layout import Layout, shard_over_devices
from ddpg_jax.core.loop import LoopConfig, accumulate
from ddpg_jax.core.types import Env


class Workload(NamedTuple):
    """One configuration of the whole loop; networks are ReLU, the optimizer is Adam, targets follow by Polyak."""

    algorithm: str = "ddpg"
    env: str = "Pendulum-v1"
    backend: str | None = None
    hidden: tuple[int, ...] = (256, 256)
    num_envs: int = 1
    batch_size: int = 256
    updates_per_step: int = 1
    replay_capacity: int = 100_000
    warmup_steps: int = 1_000
    seeds: int = 1
    seed_mapping: Literal["auto", "vmap", "sequential"] = "auto"
    devices: int | None = None

    def parts(self) -> tuple[Env, Any, LoopConfig, RunConfig]:
        """Environment and settings."""
        options = {"backend": self.backend} if self.backend else {}
        config = algorithms()[self.algorithm].config(hidden=self.hidden)
        shared = {name: getattr(self, name) for name in LoopConfig.__dataclass_fields__ if name in self._fields}
        run = RunConfig(env=self.env, seeds=self.seeds, seed_mapping=self.seed_mapping, devices=self.devices)
        return make_env(self.env, **options), config, LoopConfig(**shared), run

    def layout(self) -> Layout:
        """How its seeds are mapped, and over how many devices."""
        env, config, loop, run = self.parts()
        return placement(config, loop, run, env)


class Rate(NamedTuple):
    """What a while of training came to, summed over seeds."""

    updates: int
    env_steps: int
    seconds: float


def begin(workload: Workload) -> Callable[[int], Rate]:
    """Warms a workload up.

    Returns:
      advance(length): trains `length` vector steps of every seed and waits for them; the first call compiles.
    """
    env, config, loop, run = workload.parts()
    phases = programs(env, workload.algorithm, loop, 1, placement(config, loop, run, env))
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
    """A chunk length that takes about `seconds`; compiles on the way."""
    advance(1)
    length = 1
    while (took := advance(length).seconds) < seconds / 4:
        length *= 4 if took < seconds / 16 else 2
    return max(1, round(length * seconds / took))


def products(workload: Workload) -> Counter[tuple[Any, Any]]:
    """The matrix products of one update: ((shapes of both sides), dimension numbers) -> how many of them.

    Read from the update's own jaxpr, thin ones included; every branch of a condition counts.
    """
    env, config, loop, _ = workload.parts()
    agent = algorithms()[workload.algorithm].make(config, env.spec)
    memory = agent.memory(env.spec, loop.num_envs, 2 * loop.num_envs, loop.batch_size, loop.n_step, agent.discount)
    key = jax.random.key(0)
    learner = jax.eval_shape(agent.init, key)
    batch = jax.eval_shape(lambda: memory.sample(memory.init(), jnp.int32(2), key))
    return Counter(_dots(jax.make_jaxpr(agent.update)(learner, batch, key, jnp.int32(0)).jaxpr))


def _dots(jaxpr: Any) -> Iterator[tuple[Any, Any]]:
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield tuple(side.aval.shape for side in equation.invars), equation.params["dimension_numbers"]
        for inner in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _dots(inner)


def begin_limit(workload: Workload) -> Callable[[int], Rate]:
    """The matrix products of an update and nothing else, batched over seeds and dealt to devices as in training.

    Each product is tried in both orders of its sides and the faster one is kept: a compiler may choose. What the loop
    around it takes without the product is subtracted.

    Returns:
      advance(updates): the products of so many updates of every seed, one kind after the other; `seconds` is all that
      they took, `env_steps` stays 0.
    """
    layout = workload.layout()
    each = workload.seeds // layout.seed_shards
    batch, turns = (each, 1) if layout.mapping == "vmap" else (1, each)
    chosen = []
    for (shapes, dims), count in products(workload).items():
        swapped = tuple(pair[::-1] for pair in dims)
        runs = [_product(layout, batch, *order) for order in ((shapes, dims), (shapes[::-1], swapped))]
        times = 4
        while max(run(times) for run in runs) < 0.01:
            times *= 4
        took = [min(run(times) for _ in range(3)) for run in runs]
        empty = _product(layout, batch, shapes, None)
        chosen.append((count * turns, runs[took.index(min(took))], min(empty(times) for _ in range(3)) / times))

    def advance(updates):
        seconds = sum(run(count * updates) - count * updates * empty for count, run, empty in chosen)
        return Rate(updates * workload.seeds, 0, seconds)

    return advance


def _product(layout: Layout, batch: int, shapes: Any, dims: Any) -> Callable[[int], float]:
    """run(times) -> seconds of one product (none if `dims` is None), so many times over on every device; compiled."""

    def first(left, right):
        return 1e-30 * jax.lax.dot_general(left, right, dims).ravel()[0]

    def one(sides, times):
        # One number feeds back into both sides, so that no product can be skipped or moved out of the loop. Without a
        # product it must not be read from them: reading and writing in one kernel would copy them.
        def body(index, sides):
            if dims is None:
                number = 1e-30 * index.astype(jnp.float32)
            elif batch > 1:
                number = jax.vmap(first)(*(side[0] for side in sides))[0]
            else:
                number = first(*(side[0, 0] for side in sides))
            return [side.at[(0,) * side.ndim].set(number) for side in sides]

        with jax.default_matmul_precision("float32"):
            return jax.lax.fori_loop(0, times, body, sides)

    loop = jax.jit(shard_over_devices(one, layout))
    keys = jax.random.split(jax.random.key(0), 2)
    sides = [jax.random.normal(key, (layout.seed_shards, batch, *shape)) for key, shape in zip(keys, shapes, strict=True)]

    def run(times):
        began = time.perf_counter()
        jax.block_until_ready(loop(sides, times))
        return time.perf_counter() - began

    run(1)
    return run


def endless(env: Env) -> Env:
    """The same environment, whose episodes never end."""

    def step(key, state, action):
        state, transition = env.step(key, state, action)
        return state, replace(transition, discount=jnp.ones(()), truncated=jnp.zeros((), bool))

    return env._replace(step=step)


def rollout(env: Env, restart: Any, num_envs: int) -> Callable[[int], float]:
    """Random actions without learning; `restart` None means that episodes never end and nothing restarts.

    Returns:
      advance(length) -> seconds; the first call compiles, every call renews the reset pool once.
    """
    vec = vectorize(env, num_envs, restart or "cached")
    bare = jax.vmap(endless(env).step)

    def step(state, vector_step):
        act_key, step_key = jax.random.split(jax.random.fold_in(jax.random.key(1), vector_step))
        action = jax.random.uniform(act_key, (num_envs, env.spec.action_size), minval=-1.0)
        if restart is None:
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
    """The rows of the table: on an accelerator larger ones, which fill it."""
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
    """Rates of a workload and of its limit, measured in turn; medians of five rounds that take `seconds` in all."""
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
    """Environment steps per second without learning, beside those of episodes that never end."""
    env = make_env(name)
    runs = {restart: rollout(env, restart, num_envs) for restart in ("pool", None)}
    for run in runs.values():
        run(1)
    length = max(1, round(100 * 0.3 / runs["pool"](100)))
    times: dict[Any, list[float]] = {restart: [] for restart in runs}
    for _ in range(max(3, round(seconds / 0.6))):
        for restart, run in runs.items():
            times[restart].append(run(length))
    pool, bare = (num_envs * length / statistics.median(took) for took in times.values())
    row = {"workload": f"{num_envs} envs alone", "env_steps_per_s": pool, "limit_env_steps_per_s": bare}
    return row | {"share": pool / bare}


def machine() -> str:
    """The device in words."""
    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}, {cores()} CPU cores, jax {jax.__version__}"
