"""An ONNX graph while it grows: nodes, arrays that come with it, and shapes of which one size is the batch's."""

from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError

Value = np.ndarray | str  # known beforehand, or the name of a tensor

OPSET, IR_VERSION = 18, 8  # of early 2023, so that older runtimes read it


class Graph:
    """Nodes in their order.

    Args:
      batch: the symbolic size.
      names: what to call arrays, by `id`; others are numbered.
    """

    def __init__(self, batch: Any, names: dict[int, str]):
        self._batch, self._names = batch, names
        self._nodes: list[Any] = []
        self._arrays: dict[int, tuple[str, np.ndarray]] = {}  # by id; holding the array keeps its id its own
        self._shapes: dict[tuple[Any, ...], Value] = {}

    def add(self, op: str, *inputs: Value, name: str | None = None, **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        from onnx import helper

        output = name or f"{op.lower()}_{len(self._nodes)}"
        node = helper.make_node(op, [self._tensor(value) for value in inputs], [output], **attributes)
        self._nodes.append(node)
        return output

    def reshape(self, x: Value, old: tuple[Any, ...], new: tuple[Any, ...]) -> Value:
        """x of shape `old` as one of shape `new`."""
        if old == new:
            return x
        return self.add("Reshape", x, self.shape(new))

    def expand(self, x: Value, old: tuple[Any, ...], new: tuple[Any, ...]) -> Value:
        """x of shape `old` repeated to shape `new`, along sizes that were 1."""
        return x if old == new else self.add("Expand", x, self.shape(new))

    def shape(self, sizes: tuple[Any, ...]) -> Value:
        """A shape as a tensor of int64.

        Raises:
          SettingError: a size depends on the batch and is not the batch's own.
        """
        if sizes not in self._shapes:
            parts = [self._size(size) for size in sizes]
            known = all(isinstance(part, np.ndarray) for part in parts)
            self._shapes[sizes] = np.array(sizes, np.int64) if known else self.add("Concat", *parts, axis=0)
        return self._shapes[sizes]

    def _size(self, size: Any) -> Value:
        if isinstance(size, int):
            return np.array([size], np.int64)
        if size == self._batch:
            return self.add("Shape", "obs", start=0, end=1)
        raise untranslated(f"arrays of size {size}")

    def _tensor(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        if id(value) not in self._arrays:
            name = self._names.get(id(value), f"constant_{len(self._arrays)}")
            self._arrays[id(value)] = name, value
        return self._arrays[id(value)][0]

    def model(self, source: tuple[str, tuple, Any], result: tuple[str, tuple, Any]) -> Any:
        """The `onnx.ModelProto` from the input and the output: name, shape and dtype of each."""
        from onnx import helper, numpy_helper

        ends = [
            helper.make_tensor_value_info(
                name, element_type(dtype), [s if isinstance(s, int) else str(s) for s in sizes]
            )
            for name, sizes, dtype in (source, result)
        ]
        nodes, needed = self._reaching(result[0])
        arrays = [numpy_helper.from_array(array, name) for name, array in self._arrays.values() if name in needed]
        graph = helper.make_graph(nodes, "policy", ends[:1], ends[1:], arrays)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ddpg_jax")

    def _reaching(self, result: str) -> tuple[list[Any], set[str]]:
        """The nodes that `result` depends on, and the names of all that they read."""
        nodes, needed = [], {result}
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
        return nodes[::-1], needed


def element_type(dtype: Any) -> int:
    """ONNX's number for a dtype."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def untranslated(what: str) -> SettingError:
    """The refusal of what ONNX has no words for here, such as "JAX's primitive 'sort'"."""
    return SettingError(f"format onnx has no translation of {what}, which this policy computes; format jax holds it.")
