"""Means over the devices that share an agent in data parallel training.

They work inside a `shard_map` whose mesh has the axis `DATA`, and return their argument elsewhere. So an algorithm is
written for one device, and does not mention an axis.
"""

from typing import Any

import jax

# The mesh axis over which an agent's environments, replay and minibatches are sharded. No other axis around a training
# has this name by chance, over which independent seeds would then be averaged.
DATA = "ddpg_jax_data"


def num_shards() -> int:
    """Returns how many devices share the agent that is being traced; 1 outside of a `shard_map`."""
    try:
        return jax.lax.axis_size(DATA)
    except NameError:
        return 1


def shard_index() -> Any:
    """Returns the index of this device among those that share the agent, from 0."""
    return jax.lax.axis_index(DATA) if num_shards() > 1 else 0


def pmin(array: jax.Array) -> jax.Array:
    """Returns the elementwise minimum over the devices that share the agent."""
    return jax.lax.pmin(array, DATA) if num_shards() > 1 else array


def pmean(tree: Any) -> Any:
    """Returns the mean of every leaf over the devices that share the agent."""
    return jax.lax.pmean(tree, DATA) if num_shards() > 1 else tree
