"""The matrix products of an update, each timed alone at its actual shape: the speed if everything else were free."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.types import Env
from ddpg_jax.devices.cpu_devices import cpu_options
from ddpg_jax.devices.layout import Layout, shard_over_devices
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.programs import choose_layout
from ddpg_jax.runs.registry import algorithms


class Workload(NamedTuple):
    """One configuration of the whole loop: networks are ReLU without normalization and noise is independent at each
    step, as in other libraries, the optimizer is Adam, targets follow by Polyak.
    """

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
        """Returns the environment and the settings."""
        options = {"backend": self.backend} if self.backend else {}
        config = algorithms()[self.algorithm].config(hidden=self.hidden, norm="none", noise="gaussian")
        shared = {name: getattr(self, name) for name in LoopConfig.__dataclass_fields__ if name in self._fields}
        run = RunConfig(env=self.env, seeds=self.seeds, seed_mapping=self.seed_mapping, devices=self.devices)
        return make_env(self.env, **options), config, LoopConfig(**shared), run

    def layout(self) -> Layout:
        """Returns how its seeds are mapped and sharded over devices."""
        env, config, loop, run = self.parts()
        return choose_layout(config, loop, run, env)


class Rate(NamedTuple):
    """What was trained in so many seconds, summed over seeds."""

    updates: int
    env_steps: int
    seconds: float


def products(workload: Workload) -> Counter[tuple[Any, Any]]:
    """Returns the matrix products of one update: ((shapes of both sides), dimension numbers) -> how many of them.

    Read from the update's own jaxpr, thin ones included; every branch of a condition counts, but of what differs
    between platforms that of this one.
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
        parts = dict(equation.params)
        if equation.primitive.name == "dot_general":
            yield tuple(side.aval.shape for side in equation.invars), parts["dimension_numbers"]
        if platforms := parts.get("branches_platforms"):
            parts["branches"] = parts["branches"][_branch_of_this_platform(platforms)]
        for inner in jax.tree.leaves(tuple(parts.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _dots(inner)


def _branch_of_this_platform(platforms: tuple[tuple[str, ...] | None, ...]) -> int:
    """Returns which branch of a `jax.lax.platform_dependent` is for this platform; None stands for all others."""
    here = {"cpu": {"cpu"}, "tpu": {"tpu"}}.get(jax.default_backend(), {"cuda", "rocm"})
    return next(place for place, names in enumerate(platforms) if names is None or here & set(names))


def begin_limit(workload: Workload) -> Callable[[int], Rate]:
    """Prepares the matrix products of an update alone, batched over seeds and sharded over devices as in training.

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
    """Returns run(times) -> seconds of one product (none if `dims` is None), repeated on every device; compiled."""

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

    loop = jax.jit(shard_over_devices(one, layout), compiler_options=cpu_options(layout))
    keys = jax.random.split(jax.random.key(0), 2)
    sides = [
        jax.random.normal(key, (layout.seed_shards, batch, *shape)) for key, shape in zip(keys, shapes, strict=True)
    ]

    def run(times):
        began = time.perf_counter()
        jax.block_until_ready(loop(sides, times))
        return time.perf_counter() - began

    run(1)
    return run
