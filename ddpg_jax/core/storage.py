"""Storage of the replay: the fields of a transition side by side in one row, so that all are written and read at once.

A GPU then needs one kernel for a write and one for a minibatch, where an array for every field needs one each. Rows of
several vector steps follow one another in the last dimension of an array, because XLA for TPU pads that dimension to a
multiple of 128: an array for every field, [rows, 3] or [rows], would take up to 128 times its size there.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.types import Array

LANES = 128  # of a TPU
Data = dict[str, Array]  # dtype -> [blocks, numbers of the rows of a block]
Fields = dict[str, Array]  # name -> [..., *shape of the field]


class Storage(NamedTuple):
    """Rows of named fields in a ring of `rows` vector steps of N environments."""

    init: Callable[[], Data]
    write: Callable[[Data, Array, Fields], Data]  # (data, vector step, fields [N, ...]) -> data
    # (data, vector steps [...], environments [...], names) -> those fields [..., *shape]
    read: Callable[[Data, Array, Array, tuple[str, ...]], Fields]


def storage(fields: dict[str, jax.ShapeDtypeStruct], rows: int, num_envs: int) -> Storage:
    """Returns the storage of `rows` vector steps, of which a new one replaces the oldest.

    Args:
      fields: name -> shape and dtype of the field in one transition. Those of the same dtype share a row, in this
        order; booleans are stored as float32, 1 for True.
      rows: number of vector steps.
      num_envs: N.
    """
    tables: dict[str, dict[str, jax.ShapeDtypeStruct]] = {}
    for name, field in fields.items():
        tables.setdefault(_stored_dtype(field).name, {})[name] = field
    layouts = {dtype: _layout(table, rows, num_envs) for dtype, table in tables.items()}

    def init():
        return {dtype: jnp.zeros(layout.shape, dtype) for dtype, layout in layouts.items()}

    def write(data, vector_step, values):
        return {dtype: _write(layout, data[dtype], vector_step, values) for dtype, layout in layouts.items()}

    def read(data, vector_step, env, names):
        found: Fields = {}
        for dtype, layout in layouts.items():
            wanted = [name for name in layout.fields if name in names]
            found |= _read(layout, data[dtype], vector_step, env, wanted) if wanted else {}
        return found

    return Storage(init, write, read)


class _Layout(NamedTuple):
    """Where the numbers of one dtype are."""

    fields: dict[str, jax.ShapeDtypeStruct]
    starts: dict[str, int]  # of each field in a row
    width: int  # numbers in the row of one transition
    rows: int
    num_envs: int
    steps: int  # vector steps in a block

    @property
    def shape(self) -> tuple[int, int]:
        return -(-self.rows // self.steps), self.steps * self.num_envs * self.width

    def place(self, vector_step: Array, env: Array | int) -> tuple[Array, Array]:
        """Returns block and offset of a transition's row."""
        row = vector_step % self.rows
        return row // self.steps, (row % self.steps * self.num_envs + env) * self.width


def _layout(fields: dict[str, jax.ShapeDtypeStruct], rows: int, num_envs: int) -> _Layout:
    """Returns the layout with blocks of a multiple of `LANES` numbers, unless the ring is too short to be divided."""
    sizes = [math.prod(field.shape) for field in fields.values()]
    starts = dict(zip(fields, np.cumsum([0, *sizes]).tolist(), strict=False))
    width = sum(sizes)
    steps = LANES // math.gcd(LANES, num_envs * width)
    return _Layout(fields, starts, width, rows, num_envs, steps if 8 * steps <= rows else 1)


def _stored_dtype(field: jax.ShapeDtypeStruct) -> np.dtype:
    return np.dtype(np.float32) if field.dtype == np.bool_ else np.dtype(field.dtype)


def _write(layout: _Layout, data: Array, vector_step: Array, values: Fields) -> Array:
    columns = [values[name].reshape(layout.num_envs, -1).astype(data.dtype) for name in layout.fields]
    row = jnp.concatenate(columns, axis=1).reshape(1, -1)
    return jax.lax.dynamic_update_slice(data, row, layout.place(vector_step, 0))


def _read(layout: _Layout, data: Array, vector_step: Array, env: Array, names: list[str]) -> Fields:
    """Returns the named fields, from one gather of the part of the row that has all of them."""
    start = layout.starts[names[0]]
    size = layout.starts[names[-1]] + math.prod(layout.fields[names[-1]].shape) - start
    block, offset = jnp.broadcast_arrays(*layout.place(vector_step, env))
    whole = jax.lax.GatherDimensionNumbers(offset_dims=(block.ndim,), collapsed_slice_dims=(0,), start_index_map=(0, 1))
    indices = jnp.stack([block, offset + start], axis=-1)
    rows = jax.lax.gather(data, indices, whole, (1, size), mode="promise_in_bounds")  # [..., size]

    def field(name):
        kind, first = layout.fields[name], layout.starts[name] - start
        part = rows[..., first : first + math.prod(kind.shape)].reshape(*block.shape, *kind.shape)
        return part != 0 if kind.dtype == np.bool_ else part

    return {name: field(name) for name in names}
