"""Checksums of saved arrays, verified on loading."""

import json
import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp


def json_checksum(contents: dict[str, Any]) -> int:
    """Returns a checksum over the contents of a JSON object."""
    return zlib.crc32(json.dumps(contents, sort_keys=True).encode())


@jax.jit
def bit_sum(tree: Any) -> jax.Array:
    """Returns a sum modulo 2^32 over the bits of all arrays, each word times an odd number of its place.

    No single flipped bit leaves it as it was, and it does not depend on how arrays are divided over devices.
    """
    total = jnp.zeros((), jnp.uint32)
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        words = _words(leaf)
        place = jnp.uint32(number)
        for axis in range(words.ndim):
            stride = jnp.uint32(math.prod(words.shape[axis + 1 :]) % 2**32)
            place += stride * jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
        total += jnp.uint32(2 * number + 1) * jnp.sum(words * (2 * place + 1), dtype=jnp.uint32)
    return total


def _words(leaf: jax.Array) -> jax.Array:
    """The bits of an array as uint32, one or more words an element."""
    if leaf.dtype == bool:
        return leaf.astype(jnp.uint32)
    width = min(leaf.dtype.itemsize, 4)
    return jax.lax.bitcast_convert_type(leaf, {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[width]).astype(jnp.uint32)
