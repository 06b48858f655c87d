"""From one seed to many: side by side, or one after another, and over devices."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

Mapping = Literal["vmap", "loop"]
OneSeed = Callable[..., tuple[Any, Any]]  # (state, *shared) -> (state, what was measured)


def side_by_side(function: Callable[..., Any]) -> Callable[..., Any]:
    """function(mine, *shared) for all seeds at once: every leaf of `mine` and of the result leads with [S]."""

    @functools.wraps(function)
    def call(mine, *shared):
        return jax.vmap(lambda one: function(one, *shared))(mine)

    return call


def in_turn(function: OneSeed) -> OneSeed:
    """The same, a seed after the other, each state copied out, trained and put back: one copy more, not S.

    On a CPU the products of one seed fill a core, and batching them over seeds only makes them slower.
    """

    @functools.wraps(function)
    def call(states, *shared):
        seeds = jax.tree.leaves(states)[0].shape[0]
        if seeds == 1:  # another shape for the same memory, where a slice would be copied
            result = function(jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[1:]), states), *shared)
            return jax.tree.map(lambda leaf: leaf.reshape(1, *leaf.shape), result)
        first = lambda: function(jax.tree.map(lambda leaf: leaf[0], states), *shared)  # noqa: E731
        measured = jax.eval_shape(first)[1]
        empty = jax.tree.map(lambda leaf: jnp.zeros((seeds, *leaf.shape), leaf.dtype), measured)

        def body(index, carry):
            mine = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), carry[0])
            put = lambda all_of, one: jax.lax.dynamic_update_index_in_dim(all_of, one, index, 0)  # noqa: E731
            return jax.tree.map(put, carry, function(mine, *shared))

        return jax.lax.fori_loop(0, seeds, body, (states, empty))

    return call


def spread(function: Callable[..., Any], devices: int) -> Callable[..., Any]:
    """function(mine [S], *shared) with the seeds dealt to the first `devices` devices, which never wait for each other.

    S must be a multiple of `devices`.
    """
    if devices == 1:
        return function
    mesh = jax.make_mesh((devices,), ("seeds",), (AxisType.Auto,), devices=jax.devices()[:devices])
    mine, shared = PartitionSpec("seeds"), PartitionSpec()

    @functools.wraps(function)
    def call(first, *rest):
        specs = (mine, *(shared for _ in rest))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=mine, check_vma=False)(first, *rest)

    return call


def share(seeds: int, devices: int) -> int:
    """The most devices, at most `devices`, that `seeds` can be dealt to evenly."""
    return max(n for n in range(1, devices + 1) if seeds % n == 0)


def choose(seeds: int, batch_size: int, hidden: tuple[int, ...], image: bool) -> Mapping:
    """The faster mapping of so many `seeds` on each device of the present kind, as measured (benchmarks/README.md).

    A single seed is better off without a batch dimension. Of several, an accelerator is filled by batching. On a CPU
    that pays only while products are so small that calling them costs more than computing them.
    """
    batches = jax.default_backend() != "cpu" or _small(batch_size, hidden, image)
    return "vmap" if seeds > 1 and batches else "loop"


def fits_one_thread(num_envs: int, batch_size: int, hidden: tuple[int, ...], image: bool) -> bool:
    """Whether a step is too small to be divided over the cores of a CPU: its products, and its environments."""
    return num_envs < 64 and _small(batch_size, hidden, image)


def _small(batch_size: int, hidden: tuple[int, ...], image: bool) -> bool:
    """Whether calling the products of a CPU costs more than computing them."""
    widest = max((a * b for a, b in itertools.pairwise(hidden)), default=max(hidden, default=1))
    return not image and batch_size * widest < 96**3
