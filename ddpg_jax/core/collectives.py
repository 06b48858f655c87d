"""Means over the devices that share an agent.

They act inside a `shard_map` whose mesh has the axis `DATA`, and change nothing elsewhere: so an algorithm is written
once, for one device, and names no axis.
"""

from typing import Any

import jax

DATA = "data"  # the mesh axis over which an agent's environments, replay and minibatches are divided


def size() -> int:
    """How many devices share the agent that is being traced."""
    try:
        return jax.lax.axis_size(DATA)
    except NameError:
        return 1


def index() -> Any:
    """Which of them this is, from 0."""
    return jax.lax.axis_index(DATA) if size() > 1 else 0


def least(array: jax.Array) -> jax.Array:
    """The elementwise least over the devices."""
    return jax.lax.pmin(array, DATA) if size() > 1 else array


def mean(tree: Any) -> Any:
    """The mean of every leaf over the devices, each of which holds an equal share of the data."""
    return jax.lax.pmean(tree, DATA) if size() > 1 else tree
