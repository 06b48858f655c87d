"""Many small arrays as one vector for each dtype, which a GPU computes in one kernel instead of one for every array."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array

Vectors = dict[str, Array]  # name of a dtype -> [numbers of all arrays of this dtype]


def pack(tree: Any) -> tuple[Vectors, Callable[[Vectors], Any]]:
    """Returns the numbers of a tree as one vector for each dtype, and the function that makes the tree of them."""
    leaves, structure = jax.tree.flatten(tree)
    shapes = [leaf.shape for leaf in leaves]
    groups: dict[str, list[int]] = {}
    for place, leaf in enumerate(leaves):
        groups.setdefault(str(leaf.dtype), []).append(place)
    vectors = {dtype: jnp.concatenate([leaves[place].ravel() for place in group]) for dtype, group in groups.items()}

    def unpack(vectors):
        parts: list[Any] = [None] * len(shapes)
        for dtype, group in groups.items():
            ends = list(itertools.accumulate(math.prod(shapes[place]) for place in group))
            for place, start, end in zip(group, [0, *ends], ends, strict=False):
                parts[place] = vectors[dtype][start:end].reshape(shapes[place])
        return jax.tree.unflatten(structure, parts)

    return vectors, unpack


def pack_bits(tree: Any) -> tuple[Vectors, Callable[[Vectors], Any]]:
    """Returns what `pack` returns, with all numbers of four bytes in one vector, the floats among them as integers."""
    leaves, structure = jax.tree.flatten(tree)
    dtypes = [leaf.dtype for leaf in leaves]
    vectors, unpack = pack([_bits(leaf, jnp.int32) for leaf in leaves])

    def unpack_bits(vectors):
        return jax.tree.unflatten(structure, map(_bits, unpack(vectors), dtypes))

    return vectors, unpack_bits


def _bits(array: Array, dtype: Any) -> Array:
    """Returns the same bits as numbers of another dtype, where both have four bytes."""
    four_bytes = array.dtype in (jnp.float32, jnp.int32, jnp.uint32)
    return jax.lax.bitcast_convert_type(array, dtype) if four_bytes else array
