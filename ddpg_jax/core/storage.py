"""Storage of the replay: the fields of a transition side by side in one row, so that all are written and read at once.

A GPU then needs one kernel for a write and one for a minibatch, where an array for every field needs one each. On a TPU
the last dimension of an array is padded to a multiple of 128, its lanes, and the one before it to a multiple of 8. An
array for every field, [rows, 3] or [rows], would take up to 128 times its size, and one whose size does not fit those
numbers would be copied into another layout for every chunk. So the storage has the dimensions [.., 8, lanes], and
several transitions share a line of lanes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint

from ddpg_jax.core.platforms import on_tpu
from ddpg_jax.core.types import Array

LANES, LINES = 128, 8  # of a tile of a TPU
WIDEST = 64  # tiles in a line at most
Data = dict[str, Array]  # dtype -> [groups of lines, LINES, numbers]
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
    """Where the numbers of one dtype are: in lines of `lanes` numbers, which hold `per_line` transitions each."""

    fields: dict[str, jax.ShapeDtypeStruct]
    starts: dict[str, int]  # of each field in a transition
    width: int  # numbers of a transition
    rows: int
    num_envs: int
    lanes: int

    @property
    def per_line(self) -> int:
        return self.lanes // self.width

    @property
    def steps(self) -> int:
        """Vector steps in a line; 0 where a vector step takes several lines."""
        return self.per_line // self.num_envs

    @property
    def groups(self) -> int:
        """Groups of lines that a vector step takes, where it takes several lines."""
        return -(-self.num_envs // (self.per_line * LINES))

    @property
    def step_size(self) -> float:
        """Numbers of storage that a vector step takes."""
        return self.lanes / self.steps if self.steps else self.groups * LINES * self.lanes

    @property
    def shape(self) -> tuple[int, int, int]:
        groups = -(-self.rows // (self.steps * LINES)) if self.steps else self.rows * self.groups
        return groups, LINES, self.lanes

    def place(self, vector_step: Array, env: Array | int) -> tuple[Array, Array, Array]:
        """Returns group, line and first number of a transition."""
        _, row = _divide(vector_step, self.rows)
        if self.steps:
            line, step = _divide(row, self.steps)
            slot = step * self.num_envs + env
        else:
            line, slot = _divide(env, self.per_line)
            line += row * (self.groups * LINES)
        return *_divide(line, LINES), slot * self.width


def _divide(numbers: Any, divisor: int) -> tuple[Array, Array]:
    """Returns quotient and remainder of numbers that are not negative, which `//` and `%` would take into account."""
    numbers = jnp.asarray(numbers, jnp.int32)
    quotient = jax.lax.div(numbers, jnp.full_like(numbers, divisor))
    return quotient, numbers - quotient * divisor


def _layout(fields: dict[str, jax.ShapeDtypeStruct], rows: int, num_envs: int) -> _Layout:
    """Returns the layout with the least memory; the widest lines must save an eighth, since a TPU reads whole ones.

    The choice does not depend on the number of rows. So the storage of more rows begins with the same groups of lines,
    and a ring that is not full yet grows by groups of zeros.
    """
    sizes = [math.prod(field.shape) for field in fields.values()]
    starts = dict(zip(fields, np.cumsum([0, *sizes]).tolist(), strict=False))
    narrowest = -(-sum(sizes) // LANES)
    widths = range(narrowest, max(narrowest, WIDEST) + 1)
    layouts = [_Layout(fields, starts, sum(sizes), rows, num_envs, LANES * width) for width in widths]
    return min(layouts, key=lambda layout: layout.step_size * (1 + layout.lanes / (8 * LANES * WIDEST)))


def _stored_dtype(field: jax.ShapeDtypeStruct) -> np.dtype:
    return np.dtype(np.float32) if field.dtype == np.bool_ else np.dtype(field.dtype)


def _write(layout: _Layout, data: Array, vector_step: Array, values: Fields) -> Array:
    columns = [values[name].reshape(layout.num_envs, -1).astype(data.dtype) for name in layout.fields]
    new = jnp.concatenate(columns, axis=1)  # [N, width]
    place = layout.place(vector_step, 0)
    if layout.steps:
        return on_tpu(partial(_write_line, layout), _write_window, data, new.reshape(1, 1, -1), *place)
    lines = layout.groups * LINES
    new = jnp.pad(new, ((0, lines * layout.per_line - layout.num_envs), (0, 0))).reshape(lines, -1)
    new = jnp.pad(new, ((0, 0), (0, layout.lanes - new.shape[1]))).reshape(layout.groups, LINES, layout.lanes)
    return on_tpu(_write_lines, _write_window, data, new, *place)


def _write_window(data: Array, new: Array, group: Array, line: Array, first: Array) -> Array:
    return jax.lax.dynamic_update_slice(data, new, (group, line, first))


def _write_lines(data: Array, new: Array, group: Array, line: Array, first: Array) -> Array:
    return _row_major(_write_window(data, _row_major(new), group, line, first))


def _write_line(layout: _Layout, data: Array, new: Array, group: Array, line: Array, first: Array) -> Array:
    """Returns what `_write_window` returns, by writing a whole line: a TPU would copy all data for a part of one."""
    size, whole = new.size, layout.steps * new.size
    old = jax.lax.dynamic_slice(data, (group, line, 0), (1, 1, layout.lanes))
    repeated = jnp.pad(jnp.tile(new, layout.steps), ((0, 0), (0, 0), (0, layout.lanes - whole)))
    lane = jnp.arange(layout.lanes)
    changed = jnp.where((lane >= first) & (lane < first + size), repeated, old)
    return _write_lines(data, changed, group, line, jnp.zeros_like(first))


def _row_major(array: Array) -> Array:
    """Returns the array with its last dimension along the lanes: XLA for TPU would choose that of the seeds."""
    return with_layout_constraint(array, Layout(major_to_minor=tuple(range(array.ndim))))


def _read(layout: _Layout, data: Array, vector_step: Array, env: Array, names: list[str]) -> Fields:
    """Returns the named fields, from one gather of the part of a transition that has all of them."""
    start = layout.starts[names[0]]
    size = layout.starts[names[-1]] + math.prod(layout.fields[names[-1]].shape) - start
    places = jnp.broadcast_arrays(*layout.place(vector_step, env))
    windows, lines = partial(_gather_windows, start, size), partial(_gather_lines, layout, start, size)
    part = on_tpu(lines, windows, data, *places)  # [..., size]

    def field(name):
        kind, first = layout.fields[name], layout.starts[name] - start
        one = part[..., first : first + math.prod(kind.shape)].reshape(*part.shape[:-1], *kind.shape)
        return one != 0 if kind.dtype == np.bool_ else one

    return {name: field(name) for name in names}


def _gather_windows(start: int, size: int, data: Array, group: Array, line: Array, first: Array) -> Array:
    indices = jnp.stack([group, line, first + start], axis=-1)
    dimensions = jax.lax.GatherDimensionNumbers(
        offset_dims=(group.ndim,), collapsed_slice_dims=(0, 1), start_index_map=(0, 1, 2)
    )
    return jax.lax.gather(data, indices, dimensions, (1, 1, size), mode="promise_in_bounds")


def _gather_lines(
    layout: _Layout, start: int, size: int, data: Array, group: Array, line: Array, first: Array
) -> Array:
    """Returns what `_gather_windows` returns, cut out of whole lines: a TPU moves numbers across lanes only slowly."""
    lines = data.at[group, line].get(mode="promise_in_bounds")  # [..., lanes]
    slots = lines[..., : layout.per_line * layout.width].reshape(*group.shape, layout.per_line, layout.width)
    wanted = jnp.arange(layout.per_line) == (first // layout.width)[..., None]
    parts = jnp.where(wanted[..., None], slots[..., start : start + size], 0)
    return parts.sum(axis=-2, dtype=data.dtype)
