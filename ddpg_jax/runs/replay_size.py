"""A replay in the size that a checkpoint holds, and in that of the run that is resumed.

A run has a replay no larger than it can fill, so one that is resumed for more steps has a larger one. A ring that is
not full holds vector step i in row i, whatever its size, so it grows by rows of zeros and is cut behind its last step.
Rows are along the first axis of each leaf of a `Memory`, behind that of the seeds.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.devices.backend import memory_limit, nbytes
from ddpg_jax.devices.data_parallel import SHARDED
from ddpg_jax.devices.layout import Layout, shard_over_devices
from ddpg_jax.runs.orbax_errors import quiet_warnings

MEMORY = "['memory']"  # begins the names of the leaves of the replay among those of a `TrainState`


def as_stored(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Returns the shapes of the leaves of a checkpoint's item, with as many rows of the replay as are in the item.

    Shapes that differ otherwise, or a replay that would not fit in memory, stay as they are wanted.

    Args:
      path: the folder of the item.
      wanted: name -> shape and sharding of each leaf, as the run has it.
    """
    import orbax.checkpoint as ocp  # here: see runs/checkpoint.py

    names = [name for name in wanted if name.startswith(MEMORY)]
    if not names:
        return wanted
    with quiet_warnings(), ocp.StandardCheckpointer() as reader:
        found = reader.metadata(path).item_metadata.tree
    stored = {name: _with_rows(wanted[name], found[name].shape) for name in names if name in found}
    return wanted | stored if nbytes(stored) <= memory_limit(jax.device_count()) else wanted


def _with_rows(wanted: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    """Returns the shape [S, rows, ...] of a stored leaf, if it differs from the wanted one in nothing but the rows."""
    same = len(shape) > 1 and (shape[0], *shape[2:]) == (wanted.shape[0], *wanted.shape[2:])
    return jax.ShapeDtypeStruct(shape, wanted.dtype, sharding=wanted.sharding) if same else wanted


def resized(leaf: jax.Array, rows: int, layout: Layout) -> jax.Array:
    """Returns a leaf [S, K, ...] of a replay that is not full with other rows: [S, rows, ...], new ones of zeros.

    Each device of a data parallel agent has an equal part of the rows, with a ring of its own in it.
    """
    if leaf.shape[1] == rows:
        return leaf
    own = rows // layout.data_shards

    def resize(part):
        kept = part[:, :own]
        return jnp.pad(kept, ((0, 0), (0, own - kept.shape[1]), *((0, 0) for _ in kept.shape[2:])))

    return jax.jit(shard_over_devices(resize, layout, SHARDED, SHARDED))(leaf)
