"""Maps a function of one seed over many seeds: under `vmap` or sequentially, and sharded over devices."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ddpg_jax.core.collectives import DATA

BY_SEED = PartitionSpec("seeds")
Mapping = Literal["vmap", "sequential"]
OneSeed = Callable[..., tuple[Any, Any]]  # (state, *shared) -> (state, metrics)


def vmap_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns function(state, *shared) under `vmap` over seeds: leaves of `state` and of the result lead with [S]."""

    @functools.wraps(function)
    def call(states, *shared):
        return jax.vmap(function, in_axes=(0, *(None for _ in shared)))(states, *shared)

    return call


def loop_over_seeds(function: OneSeed) -> OneSeed:
    """Returns function(state, *shared) that runs the seeds sequentially; leaves lead with [S] as in `vmap_seeds`.

    Each state is copied, trained and written back, so memory holds one more state, not S more. On a CPU the matrix
    products of one seed fill a core, and a batch of them over seeds would only be slower.
    """

    @functools.wraps(function)
    def call(states, *shared):
        seeds = jax.tree.leaves(states)[0].shape[0]
        if seeds == 1:  # reshaped in place, where a slice would be copied
            return _add_dimension(function(_drop_dimension(states), *shared))
        return _sequentially(function, seeds, states, shared)

    return call


def _sequentially(function: OneSeed, seeds: int, states: Any, shared: tuple[Any, ...]) -> tuple[Any, Any]:
    """Returns the states [S, ...] and the metrics [S, ...] after `function` has run for every seed."""
    _, metrics = jax.eval_shape(lambda: function(_read(states, 0), *shared))
    empty = jax.tree.map(lambda leaf: jnp.zeros((seeds, *leaf.shape), leaf.dtype), metrics)

    def body(seed, carry):
        return _write(carry, seed, function(_read(carry[0], seed), *shared))

    return jax.lax.fori_loop(0, seeds, body, (states, empty))


def _drop_dimension(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[1:]), tree)


def _add_dimension(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(1, *leaf.shape), tree)


def _read(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), tree)


def _write(tree: Any, index: Any, new: Any) -> Any:
    return jax.tree.map(lambda leaf, one: jax.lax.dynamic_update_index_in_dim(leaf, one, index, 0), tree, new)


class Layout(NamedTuple):
    """How a run is sharded: its seeds over groups of devices, and each agent's data over the devices of its group."""

    mapping: Mapping = "vmap"  # how the seeds of a group are trained
    seed_shards: int = 1  # number of groups
    data_shards: int = 1  # devices in a group; above 1, agents are data parallel
    hardware: tuple[Any, ...] = ()  # the devices, where they are not those of this process
    cuda_graph: bool = True  # whether programs for GPUs run as one CUDA graph each

    @property
    def devices(self) -> int:
        """Number of devices of all groups together."""
        return self.seed_shards * self.data_shards

    def describe(self, seeds: int) -> str:
        """Returns text such as " under vmap on 4 devices, each agent data parallel over 2"; "" for one seed on one."""
        how = {"vmap": " under vmap", "sequential": " sequentially"}[self.mapping] if seeds > self.seed_shards else ""
        where = f" on {self.devices} devices" if self.devices > 1 else ""
        return how + where + (f", each agent data parallel over {self.data_shards}" if self.data_shards > 1 else "")

    @property
    def first_device(self) -> Any:
        """One of the devices."""
        return (self.hardware or jax.devices())[0]

    def mesh(self) -> Mesh:
        """Returns the mesh [seed_shards, data_shards] of the first `devices` devices."""
        axes = {"seeds": self.seed_shards, DATA: self.data_shards}
        devices = (self.hardware or jax.devices())[: self.devices]
        return jax.make_mesh(tuple(axes.values()), tuple(axes), (AxisType.Auto,) * 2, devices=devices)


def shard_over_devices(
    function: Callable[..., Any], layout: Layout, inside: Any = BY_SEED, outside: Any = BY_SEED
) -> Callable[..., Any]:
    """Returns function(states [S, ...], *shared) sharded over devices; groups of them never wait for each other.

    Args:
      function: what each device does with its shard.
      layout: the groups and their devices; S must be a multiple of `seed_shards`.
      inside, outside: how `states` and the result are sharded; by default their leaves [S, ...] by seed only.
    """
    if layout.devices == 1:
        return function
    mesh, shared = layout.mesh(), PartitionSpec()

    @functools.wraps(function)
    def call(states, *rest):
        specs = (inside, *(shared for _ in rest))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=outside, check_vma=False)(states, *rest)

    return call


def shardings(tree: Any, layout: Layout, specs: Any) -> Any:
    """Returns the sharding of every leaf of `tree` under a layout; a spec in `specs` applies to a whole branch."""
    mesh = layout.mesh()

    def of_branch(spec, branch):
        return jax.tree.map(functools.partial(_sharding, mesh, spec), branch)

    return jax.tree.map(of_branch, specs, tree)


def _sharding(mesh: Mesh, spec: PartitionSpec, leaf: Any) -> NamedSharding:
    return NamedSharding(mesh, spec)


def split_devices(seeds: int, devices: int) -> tuple[int, int]:
    """Returns (`seed_shards`, `data_shards`) of the layout that uses all of `devices` devices."""
    seed_shards = math.gcd(seeds, devices)
    return seed_shards, devices // seed_shards


def usable_devices(seeds: int, devices: int) -> int:
    """Returns the largest number of devices, up to `devices`, over which `seeds` seeds can be sharded evenly."""
    return max(n for n in range(1, devices + 1) if seeds % n == 0)


def choose_mapping(
    seeds: int, batch_size: int, hidden: tuple[int, ...], image: bool, backend: str | None = None
) -> Mapping:
    """Returns the mapping for `seeds` seeds per device on a backend, from measurements on CPUs (docs/performance.md).

    A single seed needs no batch dimension. Several seeds fill a GPU or a TPU only as a batch. On a CPU a batch
    is at best as fast once matrix products are so large that their computation outweighs their overhead: 256-256 is 8%
    to 24% faster sequentially, and with 64-64 the two differ by less than 10%.
    """
    batches = (backend or jax.default_backend()) != "cpu" or _small(batch_size, hidden, image)
    return "vmap" if seeds > 1 and batches else "sequential"


def fits_one_thread(num_envs: int, batch_size: int, hidden: tuple[int, ...], image: bool) -> bool:
    """Returns whether a step is so small that a second CPU core would not make it faster."""
    return num_envs < 64 and _small(batch_size, hidden, image)


def _small(batch_size: int, hidden: tuple[int, ...], image: bool) -> bool:
    """Returns whether the overhead of a matrix product on a CPU is larger than its computation."""
    widest = max((a * b for a, b in itertools.pairwise(hidden)), default=max(hidden, default=1))
    return not image and batch_size * widest < 96**3
