"""From one seed to many: side by side, or one after another, and over devices."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

BY_SEED = PartitionSpec("seeds")
Mapping = Literal["vmap", "sequential"]
OneSeed = Callable[..., tuple[Any, Any]]  # (state, *shared) -> (state, what was measured)


def vmap_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns function(state, *shared) for all seeds at once: all leaves of `state` and of the result lead with [S]."""

    @functools.wraps(function)
    def call(states, *shared):
        return jax.vmap(lambda state: function(state, *shared))(states)

    return call


def loop_over_seeds(function: OneSeed) -> OneSeed:
    """Returns function(state, *shared) for one seed after the other; leaves lead with [S] as in `vmap_seeds`.

    Each state is copied out, trained and written back, so that only one state more is in memory, not S. On a CPU the
    matrix products of one seed fill a core, and a batch of them over seeds would only be slower.
    """

    @functools.wraps(function)
    def call(states, *shared):
        seeds = jax.tree.leaves(states)[0].shape[0]
        if seeds == 1:  # reshaped in place, where a slice would be copied
            state = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[1:]), states)
            return jax.tree.map(lambda leaf: leaf.reshape(1, *leaf.shape), function(state, *shared))
        return _one_after_the_other(function, seeds, states, shared)

    return call


def _one_after_the_other(function: OneSeed, seeds: int, states: Any, shared: tuple[Any, ...]) -> tuple[Any, Any]:
    """Returns the states [S, ...] and what was measured [S, ...] after `function` has run for every seed."""
    measured = jax.eval_shape(lambda: function(_read(states, 0), *shared))[1]
    empty = jax.tree.map(lambda leaf: jnp.zeros((seeds, *leaf.shape), leaf.dtype), measured)

    def body(seed, carry):
        return _write(carry, seed, function(_read(carry[0], seed), *shared))

    return jax.lax.fori_loop(0, seeds, body, (states, empty))


def _read(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), tree)


def _write(tree: Any, index: Any, new: Any) -> Any:
    return jax.tree.map(lambda leaf, one: jax.lax.dynamic_update_index_in_dim(leaf, one, index, 0), tree, new)


class Layout(NamedTuple):
    """Where the seeds of a run are trained: dealt to groups of devices, each of which shares the data of its agents."""

    mapping: Mapping = "vmap"  # the seeds of a group side by side, or in turn
    seed_shards: int = 1
    data_shards: int = 1  # devices that train one agent together

    @property
    def devices(self) -> int:
        """How many in all."""
        return self.seed_shards * self.data_shards

    def describe(self, seeds: int) -> str:
        """For a person: " in turn on 4 devices, 2 sharing an agent"; nothing where there is nothing to say."""
        how = {"vmap": " side by side", "sequential": " sequentially"}[self.mapping] if seeds > self.seed_shards else ""
        where = f" on {self.devices} devices" if self.devices > 1 else ""
        return how + where + (f", {self.data_shards} sharing an agent" if self.data_shards > 1 else "")

    def mesh(self) -> Mesh:
        """The first devices, as groups x devices of a group."""
        axes = {"seeds": self.seed_shards, "data": self.data_shards}
        devices = jax.devices()[: self.devices]
        return jax.make_mesh(tuple(axes.values()), tuple(axes), (AxisType.Auto,) * 2, devices=devices)


def shard_over_devices(
    function: Callable[..., Any], layout: Layout, inside: Any = BY_SEED, outside: Any = BY_SEED
) -> Callable[..., Any]:
    """function(mine [S], *shared) on the devices of a layout; groups never wait for each other.

    Args:
      function: what each device does with its share.
      layout: S must be a multiple of its `groups`.
      inside, outside: how `mine` and the result are divided; by default their leaves [S, ...] by seeds alone.
    """
    if layout.devices == 1:
        return function
    mesh, shared = layout.mesh(), PartitionSpec()

    @functools.wraps(function)
    def call(first, *rest):
        specs = (inside, *(shared for _ in rest))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=outside, check_vma=False)(first, *rest)

    return call


def shardings(tree: Any, layout: Layout, specs: Any) -> Any:
    """For every leaf of `tree` where `spread` expects it; `specs` may name whole branches at once."""
    mesh = layout.mesh()
    return jax.tree.map(lambda spec, branch: jax.tree.map(lambda _: NamedSharding(mesh, spec), branch), specs, tree)


def split_devices(seeds: int, devices: int) -> tuple[int, int]:
    """Exactly so many devices as (groups that seeds are dealt to evenly, devices that share an agent in each)."""
    groups = math.gcd(seeds, devices)
    return groups, devices // groups


def usable_devices(seeds: int, devices: int) -> int:
    """The most devices, at most `devices`, that `seeds` can be dealt to evenly."""
    return max(n for n in range(1, devices + 1) if seeds % n == 0)


def choose(seeds: int, batch_size: int, hidden: tuple[int, ...], image: bool) -> Mapping:
    """The faster mapping of so many `seeds` on each device of the present kind, as measured (benchmarks/README.md).

    A single seed is better off without a batch dimension. Of several, an accelerator is filled by batching. On a CPU
    that pays only while products are so small that calling them costs more than computing them.
    """
    batches = jax.default_backend() != "cpu" or _small(batch_size, hidden, image)
    return "vmap" if seeds > 1 and batches else "sequential"


def fits_one_thread(num_envs: int, batch_size: int, hidden: tuple[int, ...], image: bool) -> bool:
    """Whether a step is too small to be divided over the cores of a CPU: its products, and its environments."""
    return num_envs < 64 and _small(batch_size, hidden, image)


def _small(batch_size: int, hidden: tuple[int, ...], image: bool) -> bool:
    """Whether calling the products of a CPU costs more than computing them."""
    widest = max((a * b for a, b in itertools.pairwise(hidden)), default=max(hidden, default=1))
    return not image and batch_size * widest < 96**3
