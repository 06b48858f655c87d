"""Prioritized experience replay (Schaul et al. 2016), the proportional variant, on the device."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ddpg_jax.core.collectives import pmin
from ddpg_jax.core.replay import read, ring_of
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.sum_tree import LEVELS, Tree, draw, empty_tree, leaves_at, total, write_each, write_ranges
from ddpg_jax.core.types import Array, Memory, Spec

SMALLEST, LARGEST = 1e-30, 1e28  # of a priority; a sum of 2^31 of them is finite in float32


@struct.dataclass
class Prioritized:
    """A ring of transitions with their priorities."""

    ring: Any
    priorities: Tree  # p^α of each transition; 0 of those that cannot be drawn
    largest: Array  # [1] the largest p^α so far


def prioritized_replay(
    spec: Spec,
    num_envs: int,
    capacity: int,
    batch_size: int,
    n_step: int = 1,
    discount: Array | float = 1.0,
    *,
    alpha: Array | float = 0.6,
    beta: Array | float = 0.4,
    epsilon: Array | float = 1e-6,
) -> Memory:
    """Returns a replay from which transition i is drawn with P(i) = pᵢ^α / Σ p^α (Schaul et al. 2016, equation 1).

    pᵢ = |δᵢ| + ε, where δᵢ is the TD error right after the last update with this transition (`td_error`); a new one has
    the largest pᵢ^α so far. The importance weights are (N P(i))^-β, divided by the largest in the minibatch (section
    3.4), of all devices together. β is fixed, where in the paper it grows to 1 during a run, whose length is not known
    here. Draws are independent, where the paper draws one from each of B equal parts of the sum of priorities.

    Args:
      spec, num_envs, capacity, batch_size, n_step, discount: as for `uniform_replay`, and so are the samples.
      alpha: α, how much priorities count; 0: not at all.
      beta: β, how much weights make up for it; 1: fully.
      epsilon: ε, above 0.

    Returns:
      A `Memory` whose samples have `weight` [B] and `index` [B], and which takes the TD errors back (`prioritize`).

    Raises:
      SettingError: an exponent is negative, or `epsilon` is not positive.
    """
    _check(alpha, beta, epsilon)
    ring = ring_of(spec, num_envs, capacity)

    def init():
        return Prioritized(ring.init(), empty_tree(ring.rows * num_envs), jnp.ones(1))

    def add(data, num_added, transitions):
        new, begin = jnp.broadcast_to(data.largest, num_envs), num_added % ring.rows * num_envs
        ranges = [(begin, new)]
        if ring.incomplete:  # the newest row cannot be drawn yet, and the one before it now can
            before = (num_added - 1) % ring.rows * num_envs
            ranges = [(begin, jnp.zeros(num_envs)), (before, jnp.where(num_added > 0, new, 0))]
        tree = write_ranges(data.priorities, *ranges)
        return replace(data, ring=ring.add(data.ring, num_added, transitions), priorities=tree)

    def sample(data, num_added, key):
        index = draw(data.priorities, jax.random.uniform(key, (LEVELS, batch_size)))
        newest = num_added - 1
        first = newest - (newest - index // num_envs) % ring.rows  # as a vector step
        batch = read(ring, data.ring, num_added, first, index % num_envs, n_step, discount)
        chance = leaves_at(data.priorities, index) / total(data.priorities)
        return replace(batch, weight=(pmin(chance.min()) / chance) ** beta, index=index)

    def prioritize(data, index, error):
        priority = (jnp.abs(error) + epsilon) ** alpha
        priority = jnp.where(priority < LARGEST, jnp.maximum(priority, SMALLEST), LARGEST)  # NaN is the largest
        tree = write_each(data.priorities, index, priority)
        return replace(data, priorities=tree, largest=jnp.maximum(data.largest, priority.max()))

    return Memory(init, add, sample, prioritize)


def _check(alpha: Any, beta: Any, epsilon: Any) -> None:
    for name, value in {"alpha": alpha, "beta": beta}.items():
        if isinstance(value, (int, float)) and not value >= 0:  # a traced number is neither
            raise SettingError(f"{name} must be at least 0, not {value}.")
    if isinstance(epsilon, (int, float)) and not epsilon > 0:
        raise SettingError(f"epsilon must be above 0, not {epsilon}.")
