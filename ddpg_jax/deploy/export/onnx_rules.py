"""Translations of primitives about shapes, products and choices: each rule is (graph, equation, *inputs) -> output."""

import string
from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_jax.deploy.export.onnx_graph import Graph, Value, element_type, untranslatable

Rule = Callable[..., Any]


def node(op: str) -> Rule:
    """Returns the rule of a primitive that is one node."""
    return lambda graph, equation, *inputs: graph.add(op, *inputs)


def reduction(op: str) -> Rule:
    """Returns the rule of a primitive that is one node that reduces over axes."""
    return lambda graph, equation, x: graph.add(op, x, np.array(equation.params["axes"], np.int64), keepdims=0)


def one(equation: Any) -> np.ndarray:
    """Returns the constant 1 in the dtype of the result."""
    return np.ones((), equation.outvars[0].aval.dtype)


def _shapes(equation: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns the shapes of the first input and of the output."""
    return equation.invars[0].aval.shape, equation.outvars[0].aval.shape


def reshape(graph: Graph, equation: Any, x: Value) -> Value:
    """Reshapes x to the shape of the output."""
    return graph.reshape(x, *_shapes(equation))


def broadcast(graph: Graph, equation: Any, x: Value) -> Value:
    """Reshapes x so that its axes are aligned with the output's, then broadcasts it."""
    old, new = _shapes(equation)
    aligned = [1] * len(new)
    for size, axis in zip(old, equation.params["broadcast_dimensions"], strict=True):
        aligned[axis] = size
    return graph.expand(graph.reshape(x, old, tuple(aligned)), tuple(aligned), new)


def dot(graph: Graph, equation: Any, x: Value, y: Value) -> Value:
    """Adds a MatMul if the product is one, else an Einsum: batch axes first, then the other axes of x, then of y."""
    (x_sum, y_sum), (x_batch, y_batch) = equation.params["dimension_numbers"]
    x_size, y_size = (len(variable.aval.shape) for variable in equation.invars)
    if (tuple(x_sum), tuple(y_sum), y_size, len(x_batch)) == ((x_size - 1,), (0,), 2, 0):
        product = graph.add("MatMul", x, y)
    else:
        letters = iter(string.ascii_lowercase)
        x_names = [next(letters) for _ in range(x_size)]
        y_names = [next(letters) for _ in range(y_size)]
        for x_axis, y_axis in zip((*x_sum, *x_batch), (*y_sum, *y_batch), strict=True):
            y_names[y_axis] = x_names[x_axis]
        summed = {x_names[axis] for axis in x_sum}
        batched = [x_names[axis] for axis in x_batch]
        left = [name for name in x_names + y_names if name not in summed and name not in batched]
        names = f"{''.join(x_names)},{''.join(y_names)}->{''.join(batched + left)}"
        product = graph.add("Einsum", x, y, equation=names)
    same_dtype = equation.invars[0].aval.dtype == equation.outvars[0].aval.dtype
    return product if same_dtype else graph.add("Cast", product, to=element_type(equation.outvars[0].aval.dtype))


def select(graph: Graph, equation: Any, condition: Value, *cases: Value) -> Value:
    """Chooses between two arrays by a condition."""
    if len(cases) != 2 or equation.invars[0].aval.dtype != bool:
        raise untranslatable(f"{equation.primitive.name} of {len(cases)} cases")
    return graph.add("Where", condition, cases[1], cases[0])


def slice(graph: Graph, equation: Any, x: Value) -> Value:
    """Slices with strides; axes that stay whole are not named."""
    old, _ = _shapes(equation)
    starts, ends, strides = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    strides = strides or (1,) * len(old)
    axes = [i for i, size in enumerate(old) if (starts[i], ends[i], strides[i]) != (0, size, 1)]
    starts, ends, strides = ([values[i] for i in axes] for values in (starts, ends, strides))
    return graph.add("Slice", x, *(np.array(values, np.int64) for values in (starts, ends, axes, strides)))


def split(graph: Graph, equation: Any, x: Value) -> list[Value]:
    """Splits an array into consecutive pieces along an axis."""
    axis, ends = np.array([equation.params["axis"]]), np.cumsum(equation.params["sizes"])
    ranges = zip(ends - np.array(equation.params["sizes"]), ends, strict=True)
    return [graph.add("Slice", x, np.array([start]), np.array([end]), axis) for start, end in ranges]


def gather(graph: Graph, equation: Any, x: Value, index: Value) -> Value:
    """Gathers windows at constant indices along some axes, and all of the others: indexing with numbers and slices."""
    dimensions, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    old, new = _shapes(equation)
    indexed, collapsed = tuple(dimensions.start_index_map), dimensions.collapsed_slice_dims
    others = [axis for axis in range(len(old)) if axis not in indexed]
    complete = all(sizes[axis] == old[axis] for axis in others) and not dimensions.operand_batching_dims
    if isinstance(index, str) or not complete:
        raise untranslatable("gather at indices that depend on the observation")
    indices = index.astype(np.int64)
    for column, axis in enumerate(indexed):  # one index for each element of a window
        if axis not in collapsed:
            offsets = np.arange(sizes[axis])[:, None] * np.eye(len(indexed), dtype=np.int64)[column]
            indices = indices[..., None, :] + offsets
    if indices.min() < 0 or (indices >= np.array([old[axis] for axis in indexed])).any():
        raise untranslatable("gather beyond the end of an array")
    gathered = graph.add("GatherND", graph.add("Transpose", x, perm=[*indexed, *others]), indices)
    # The axes of the result are in another order: those of the index first, then those of windows, then the others
    batch = [f"batch {i}" for i in range(index.ndim - 1)]
    windows = [axis for axis in indexed if axis not in collapsed]
    batch_axes, slice_axes = iter(batch), iter(sorted([*windows, *others]))
    wanted = [next(slice_axes) if axis in dimensions.offset_dims else next(batch_axes) for axis in range(len(new))]
    return graph.add("Transpose", gathered, perm=[[*batch, *windows, *others].index(axis) for axis in wanted])
