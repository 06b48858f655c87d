"""Means over the devices that share an agent.

They act inside a `shard_map` whose mesh has the axis `DATA`, and change nothing elsewhere: so an algorithm is written
once, for one device, and names no axis.
"""

from typing import Any

import jax

DATA = "data"  # the mesh axis over which an agent's environments, replay and minibatches are divided


def num_shards() -> int:
    """How many devices share the agent that is being traced."""
    try:
        return jax.lax.axis_size(DATA)
    except NameError:
        return 1


def shard_index() -> Any:
    """Which of them this is, from 0."""
    return jax.lax.axis_index(DATA) if num_shards() > 1 else 0


def pmin(array: jax.Array) -> jax.Array:
    """Returns the elementwise minimum over the devices."""
    return jax.lax.pmin(array, DATA) if num_shards() > 1 else array


def pmean(tree: Any) -> Any:
    """The mean of every leaf over the devices, each of which holds an equal share of the data."""
    return jax.lax.pmean(tree, DATA) if num_shards() > 1 else tree
