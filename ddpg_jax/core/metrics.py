"""Metrics as (sum, count) pairs, gathered on the device: they add up over steps, seeds and devices."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.platforms import on_gpu
from ddpg_jax.core.types import Array, Metrics


def masked_sum(mask: Array, values: Array) -> tuple[Array, Array]:
    """Returns (sum, count) of the values [N] where `mask` [N] holds, both float32."""
    return jnp.where(mask, values, 0).astype(jnp.float32).sum(), mask.sum().astype(jnp.float32)


def means(metrics: Metrics) -> dict[str, Array]:
    """Returns the mean of each quantity, NaN where its count is 0."""
    return {name: total / count for name, (total, count) in metrics.items()}


def accumulate(
    step: Callable[[Any, Array], tuple[Any, Metrics]], state: Any, start: Array, length: Any
) -> tuple[Any, Metrics]:
    """Runs `step(state, index)` for `length` indices from `start` on and adds up its metrics.

    Sums are float32: of a constant 0.1, the mean is 0.05% too large after 50,000 indices and 1% after a million.

    Both bounds may be traced. That also keeps XLA from unrolling a loop of one update: it would then fuse the write
    into the replay with the gather of the minibatch, and copy the whole replay on every step. On a GPU it does not, and
    there a length of 1 is no loop.

    Returns:
      The last state, and the summed metrics.
    """
    step = jax.jit(step)  # for its trace cache: the two uses below trace it once
    shapes, structure = jax.tree.flatten(jax.eval_shape(step, state, start)[1])
    totals = jnp.zeros(len(shapes))  # a single vector, so that a step adds all metrics in one kernel

    def body(index, carry):
        state, metrics = step(carry[0], index)
        return state, carry[1] + jnp.array(jax.tree.leaves(metrics), jnp.float32)

    def loop(state, totals, start, end):
        return jax.lax.fori_loop(start, end, body, (state, totals))

    def once(state, totals, start, end):
        return body(start, (state, totals))

    if isinstance(length, int) and length == 1:
        state, totals = on_gpu(once, loop, state, totals, start, start + length)
    else:
        state, totals = loop(state, totals, start, start + length)
    return state, jax.tree.unflatten(structure, list(totals))
