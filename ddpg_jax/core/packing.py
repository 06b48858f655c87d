"""Many small arrays as one vector for each dtype, which a GPU computes in one kernel instead of one for every array."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ddpg_jax.core.platforms import slices_together
from ddpg_jax.core.types import Array, Metrics, TrainState

Vectors = dict[str, Array]  # name of a dtype -> [numbers of all arrays of this dtype]


def pack(tree: Any) -> tuple[Vectors, Callable[[Vectors], Any]]:
    """Returns the numbers of a tree as one vector for each dtype, and the function that makes the tree of them."""
    leaves, structure = jax.tree.flatten(tree)
    groups: dict[str, dict[int, Array]] = {}
    for place, leaf in enumerate(map(_numbers, leaves)):
        groups.setdefault(str(leaf.dtype), {})[place] = leaf
    raveled = {dtype: ravel_pytree(group) for dtype, group in groups.items()}

    def unpack(vectors):
        parts: dict[int, Array] = {}
        for dtype, (_, unravel) in raveled.items():
            parts |= unravel(vectors[dtype])
        return jax.tree.unflatten(structure, [_like(leaf, parts[place]) for place, leaf in enumerate(leaves)])

    return {dtype: vector for dtype, (vector, _) in raveled.items()}, unpack


def _is_key(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _numbers(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _like(leaf: Array, numbers: Array) -> Array:
    return jax.random.wrap_key_data(numbers, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else numbers


def pack_bits(tree: Any) -> tuple[Vectors, Callable[[Vectors], Any]]:
    """Returns what `pack` returns, with all numbers of four bytes in one vector, the floats among them as integers."""
    vectors, unpack = pack(jax.tree.map(lambda leaf: _bits(_numbers(leaf), jnp.int32), tree))

    def unpack_bits(vectors):
        return jax.tree.map(lambda leaf, bits: _like(leaf, _bits(bits, _numbers(leaf).dtype)), tree, unpack(vectors))

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
