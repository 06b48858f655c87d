"""Many small arrays as one vector for each dtype, which a GPU computes in one kernel instead of one for every array."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.platforms import slices_together
from ddpg_jax.core.types import Array, Metrics, TrainState

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


def accumulate_packed(
    step: Callable[..., Any], state: TrainState, vector_step: Array, length: Array
) -> tuple[TrainState, Metrics]:
    """Returns what `accumulate` returns; from step to step all but networks and replay is one vector.

    Networks stay as they are: XLA would copy a weight matrix out of a vector before every product.
    """
    step = jax.jit(step)
    totals = jax.tree.map(jnp.zeros_like, jax.eval_shape(step, state, vector_step)[1])
    small, large = _split(state)
    vectors, unpack = pack_bits((small, totals))

    def packed_step(vector_step, carry):
        small, totals = unpack(carry[0])
        stepped, metrics = step(_join(state, small, carry[1]), vector_step)
        small, large = _split(stepped)
        return pack_bits((small, jax.tree.map(jnp.add, totals, metrics)))[0], large

    vectors, large = jax.lax.fori_loop(vector_step, vector_step + length, packed_step, (vectors, large))
    small, totals = unpack(slices_together(vectors, length >= 0))  # always
    return _join(state, small, large), totals


def _split(state: TrainState) -> tuple[Any, Any]:
    """Returns the many small arrays that a step changes, and the large ones."""
    small = (state.learner.normalizer, replace(state.env, pool=None), state.noise, state.nonfinite_at)
    return small, (replace(state.learner, normalizer=()), state.memory)


def _join(state: TrainState, small: Any, large: Any) -> TrainState:
    """Returns the state with its parts from `_split`."""
    (normalizer, env, noise, nonfinite_at), (learner, memory) = small, large
    learner, env = replace(learner, normalizer=normalizer), replace(env, pool=state.env.pool)
    return replace(state, learner=learner, env=env, noise=noise, nonfinite_at=nonfinite_at, memory=memory)
