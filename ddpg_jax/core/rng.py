"""Random numbers that are cheap to draw and to compile."""

from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array, Key


def randint(key: Key, shape: tuple[int, ...], limit: Any) -> Array:
    """Integers [*shape] drawn uniformly from 0 to `limit` - 1, to a relative error of limit / 2³² in a probability.

    Half of what `jax.random.randint` hashes, which splits its key and draws 64 bits for each number.
    """
    return (jax.random.bits(key, shape) % jnp.uint32(limit)).astype(jnp.int32)


def fold_in_each(keys: Key, data: Any) -> Key:
    """Keys [K], each with a number folded in: one pass of the hash, where folding in and splitting takes two."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, data)
