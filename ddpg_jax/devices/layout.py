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
    """function(mine, *shared) for all seeds at once: every leaf of `mine` and of the result leads with [S]."""

    @functools.wraps(function)
    def call(mine, *shared):
        return jax.vmap(lambda one: function(one, *shared))(mine)

    return call


def loop_over_seeds(function: OneSeed) -> OneSeed:
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
