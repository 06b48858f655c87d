"""How shapes, products and choices are said in ONNX: each rule is (graph, equation, *inputs) -> output."""

import string
from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_jax.deploy.export.graph import Graph, Value, element_type, untranslated

Rule = Callable[..., Any]


def node(op: str) -> Rule:
    """One node for one primitive."""
    return lambda graph, equation, *inputs: graph.add(op, *inputs)


def reduction(op: str) -> Rule:
    """One node that reduces over axes."""
    return lambda graph, equation, x: graph.add(op, x, np.array(equation.params["axes"], np.int64), keepdims=0)


def one(equation: Any) -> np.ndarray:
    """1 in the dtype of the result."""
    return np.ones((), equation.outvars[0].aval.dtype)


def _shapes(equation: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Of the first input and of the output."""
    return equation.invars[0].aval.shape, equation.outvars[0].aval.shape


def reshape(graph: Graph, equation: Any, x: Value) -> Value:
    """The same elements in the shape of the output."""
    return graph.reshape(x, *_shapes(equation))


def broadcast(graph: Graph, equation: Any, x: Value) -> Value:
    """Reshaped so that its axes lie where they belong, then repeated."""
    old, new = _shapes(equation)
    aligned = [1] * len(new)
    for size, axis in zip(old, equation.params["broadcast_dimensions"], strict=True):
        aligned[axis] = size
    return graph.expand(graph.reshape(x, old, tuple(aligned)), tuple(aligned), new)


def dot(graph: Graph, equation: Any, x: Value, y: Value) -> Value:
    """MatMul where it is one, else Einsum: batched axes first, then what is left of x, then of y."""
    (x_sum, y_sum), (x_batch, y_batch) = equation.params["dimension_numbers"]
    x_size, y_size = (len(variable.aval.shape) for variable in equation.invars)
    if (tuple(x_sum), tuple(y_sum), y_size, len(x_batch)) == ((x_size - 1,), (0,), 2, 0):
        product = graph.add("MatMul", x, y)
    else:
        letters = iter(string.ascii_lowercase)
        x_names = [next(letters) for _ in range(x_size)]
        y_names = [next(letters) for _ in range(y_size)]
        for here, there in zip((*x_sum, *x_batch), (*y_sum, *y_batch), strict=True):
            y_names[there] = x_names[here]
        summed = {x_names[axis] for axis in x_sum}
        batched = [x_names[axis] for axis in x_batch]
        left = [name for name in x_names + y_names if name not in summed and name not in batched]
        names = f"{''.join(x_names)},{''.join(y_names)}->{''.join(batched + left)}"
        product = graph.add("Einsum", x, y, equation=names)
    kept = equation.invars[0].aval.dtype == equation.outvars[0].aval.dtype
    return product if kept else graph.add("Cast", product, to=element_type(equation.outvars[0].aval.dtype))


def select(graph: Graph, equation: Any, which: Value, *cases: Value) -> Value:
    """One of two, by a condition."""
    if len(cases) != 2 or equation.invars[0].aval.dtype != bool:
        raise untranslated(f"{equation.primitive.name} of {len(cases)} cases")
    return graph.add("Where", which, cases[1], cases[0])


def slice(graph: Graph, equation: Any, x: Value) -> Value:
    """Ranges with steps; axes taken whole are not named."""
    old, _ = _shapes(equation)
    begin, end, stride = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    stride = stride or (1,) * len(old)
    axes = [i for i, size in enumerate(old) if (begin[i], end[i], stride[i]) != (0, size, 1)]
    ranges = [[part[i] for i in axes] for part in (begin, end)]
    return graph.add("Slice", x, *(np.array(part, np.int64) for part in (*ranges, axes, [stride[i] for i in axes])))


def split(graph: Graph, equation: Any, x: Value) -> list[Value]:
    """Consecutive pieces along an axis."""
    axis, ends = np.array([equation.params["axis"]]), np.cumsum(equation.params["sizes"])
    begins = ends - np.array(equation.params["sizes"])
    return [graph.add("Slice", x, np.array([a]), np.array([b]), axis) for a, b in zip(begins, ends, strict=True)]


def gather(graph: Graph, equation: Any, x: Value, index: Value) -> Value:
    """Windows at known places along some axes, and all of the others: what indexing with numbers and slices becomes."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    old, new = _shapes(equation)
    taken, collapsed = tuple(numbers.start_index_map), numbers.collapsed_slice_dims
    rest = [axis for axis in range(len(old)) if axis not in taken]
    whole = all(sizes[axis] == old[axis] for axis in rest) and not numbers.operand_batching_dims
    if isinstance(index, str) or not whole:
        raise untranslated("gather at places that depend on the observation")
    places = index.astype(np.int64)
    for at, axis in enumerate(taken):  # one element for each of a window's
        if axis not in collapsed:
            along = np.arange(sizes[axis])[:, None] * np.eye(len(taken), dtype=np.int64)[at]
            places = places[..., None, :] + along
    if places.min() < 0 or (places >= np.array([old[axis] for axis in taken])).any():
        raise untranslated("gather beyond the end of an array")
    found = graph.add("GatherND", graph.add("Transpose", x, perm=[*taken, *rest]), places)
    windows = [axis for axis in taken if axis not in collapsed]
    before = [*(f"lead {i}" for i in range(index.ndim - 1)), *windows, *rest]
    lead, kept = iter(before[: index.ndim - 1]), iter(sorted([*windows, *rest]))
    after = [next(kept) if axis in numbers.offset_dims else next(lead) for axis in range(len(new))]
    return graph.add("Transpose", found, perm=[before.index(name) for name in after])
