"""Random integers and keys, with half of the hashing that `jax.random` would do."""

from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array, Key


def randint(key: Key, shape: tuple[int, ...], limit: Any) -> Array:
    """Draws integers [*shape] uniformly from 0 to `limit` - 1.

    Probabilities have a relative error of at most limit / 2³². `jax.random.randint` has a smaller one, for which it
    splits its key and draws 64 bits for each number, twice as many.
    """
    return (jax.random.bits(key, shape) % jnp.uint32(limit)).astype(jnp.int32)


def fold_in_each(keys: Key, data: Any) -> Key:
    """Folds `data` into each of the keys [K]: one pass of the hash, where `fold_in` and `split` would take two."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, data)
