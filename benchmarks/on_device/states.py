"""States of training on a device of choice, and how far two of them are apart."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.types import Agent, Env
from ddpg_jax.devices.layout import Layout
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs.programs import Programs, make_programs
from ddpg_jax.runs.registry import algorithms

ALGORITHMS = ("ddpg", "td3", "sac", "d4pg")
STEPS = 50  # of the chunk that devices are compared on


class Case(NamedTuple):
    """An algorithm on Pendulum-v1, with the state of one or several seeds after the warm-up, on a device."""

    algorithm: str
    agent: Agent
    env: Env
    config: Any
    loop: LoopConfig
    programs: Programs
    state: Any
    first: int  # vector step of the first update

    def on(self, device: Any) -> "Case":
        """Returns the same with the state and the programs for another device."""
        programs = programs_for(device, self.algorithm, self.env, self.loop, self.state.nonfinite_at.shape[0])
        return self._replace(programs=programs, state=copied(self.state, device))

    def chunk(self, state: Any = None, first: int | None = None, length: int = STEPS) -> Any:
        """Returns state and metrics after a chunk, by default from its own state; the state it begins with stays."""
        begin = self.state if state is None else state
        return self.programs.chunk(copied(begin), first or self.first, length, self.config)


def programs_for(device: Any, algorithm: str, env: Env, loop: LoopConfig, seeds: int) -> Programs:
    """Returns the programs for one device, with the options of its compiler; several seeds train under `vmap`."""
    layout = Layout("vmap" if seeds > 1 else "sequential", hardware=(device,))
    return make_programs(env, algorithm, loop, 1, layout)


def make_case(algorithm: str, toy: bool, seeds: int = 1, device: Any = None, **loop: Any) -> Case:
    """Returns an algorithm with networks of 256-256 and minibatches of 256, much smaller where `toy`.

    Args:
      algorithm, toy, seeds: what trains; several seeds do so under `vmap`.
      device: where the state is made; by default the CPU, so that it is the same for every device.
      loop: settings of the loop.
    """
    found, env = algorithms()[algorithm], make_env("Pendulum-v1")
    config = found.config(hidden=(8, 8) if toy else (256, 256))
    sizes = {"batch_size": 8, "warmup_steps": 32, "replay_capacity": 256} if toy else {"replay_capacity": 20_000}
    settings, device = LoopConfig(**sizes | loop), device or host()
    programs = programs_for(device, algorithm, env, settings, seeds)
    with jax.default_device(device):
        state = programs.start(jax.vmap(jax.random.key)(jnp.arange(seeds)), config)
    state = jax.block_until_ready(copied(state, device))  # committed: what follows is computed where it is
    first = -(-settings.warmup_steps // settings.num_envs)
    return Case(algorithm, found.make(config, env.spec), env, config, settings, programs, state, first)


def host() -> Any:
    """Returns the CPU, as a device."""
    return jax.devices("cpu")[0]


def copied(state: Any, device: Any = None) -> Any:
    """Returns a copy, on a device or on the one where it is; of the same types, so that nothing compiles again."""

    def copy(leaf):
        if is_key(leaf):  # as numbers: JAX would put the key there, but let a program move it away again
            return jax.random.wrap_key_data(copy(jax.random.key_data(leaf)))
        return jax.device_put(leaf, device, may_alias=False)

    return jax.tree.map(copy, state)


def is_key(leaf: Any) -> bool:
    """Whether an array holds typed random keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def plain(tree: Any) -> list[np.ndarray]:
    """Returns all arrays on the host, random keys as their numbers."""
    return [np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for leaf in jax.tree.leaves(tree)]


def same_bits(one: Any, other: Any) -> bool:
    """Whether two trees are equal to the last bit."""
    pairs = zip(plain(one), plain(other), strict=True)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def difference(one: Any, other: Any) -> float:
    """Returns the largest ‖a - b‖ / ‖b‖ of any of the arrays; of arrays of zeros, ‖a - b‖."""
    largest = 0.0
    for a, b in zip(plain(one), plain(other), strict=True):
        a, b = a.astype(np.float64), b.astype(np.float64)
        size = float(np.linalg.norm(b.ravel()))
        apart = float(np.linalg.norm((a - b).ravel())) / (size or 1.0)
        largest = max(largest, apart) if np.isfinite(apart) else np.inf
    return largest
