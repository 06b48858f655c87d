"""A builder of ONNX graphs: nodes, constant arrays, and shapes of which one size is that of the batch."""

from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError

Value = np.ndarray | str  # a constant, or the name of a tensor

OPSET, IR_VERSION = 18, 8  # of early 2023, so that older runtimes read it


class Graph:
    """A graph to which nodes are added in the order of their computation.

    Args:
      batch: the symbolic size of the batch.
      names: of constant arrays, by `id`; others are numbered.
    """

    def __init__(self, batch: Any, names: dict[int, str]):
        self._batch, self._names = batch, names
        self._nodes: list[Any] = []
        self._arrays: dict[int, tuple[str, np.ndarray]] = {}  # by id, which holding the array keeps unique
        self._shapes: dict[tuple[Any, ...], Value] = {}

    def add(self, op: str, *inputs: Value, name: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output and returns the output's name."""
        from onnx import helper

        output = name or f"{op.lower()}_{len(self._nodes)}"
        node = helper.make_node(op, [self._tensor(value) for value in inputs], [output], **attributes)
        self._nodes.append(node)
        return output

    def reshape(self, x: Value, old: tuple[Any, ...], new: tuple[Any, ...]) -> Value:
        """Reshapes x from shape `old` to `new`."""
        return x if old == new else self.add("Reshape", x, self.shape(new))

    def expand(self, x: Value, old: tuple[Any, ...], new: tuple[Any, ...]) -> Value:
        """Broadcasts x from shape `old` to `new`, along axes of size 1."""
        return x if old == new else self.add("Expand", x, self.shape(new))

    def shape(self, sizes: tuple[Any, ...]) -> Value:
        """Returns a shape as a tensor of int64.

        Raises:
          SettingError: a size depends on the batch and is not that of the batch.
        """
        if sizes not in self._shapes:
            parts = [self._size(size) for size in sizes]
            constant = all(isinstance(part, np.ndarray) for part in parts)
            self._shapes[sizes] = np.array(sizes, np.int64) if constant else self.add("Concat", *parts, axis=0)
        return self._shapes[sizes]

    def _size(self, size: Any) -> Value:
        if isinstance(size, int):
            return np.array([size], np.int64)
        if size == self._batch:
            return self.add("Shape", "obs", start=0, end=1)
        raise untranslatable(f"arrays of size {size}")

    def _tensor(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        if id(value) not in self._arrays:
            name = self._names.get(id(value), f"constant_{len(self._arrays)}")
            self._arrays[id(value)] = name, value
        return self._arrays[id(value)][0]

    def to_model(self, source: tuple[str, tuple, Any], result: tuple[str, tuple, Any]) -> Any:
        """Returns the `onnx.ModelProto` of the nodes that `result` needs.

        Args:
          source, result: name, shape and dtype of the input and the output.
        """
        from onnx import helper, numpy_helper

        tensors = []
        for name, shape, dtype in (source, result):
            sizes = [size if isinstance(size, int) else str(size) for size in shape]
            tensors.append(helper.make_tensor_value_info(name, element_type(dtype), sizes))
        nodes, needed = self._needed_nodes(result[0])
        arrays = [numpy_helper.from_array(array, name) for name, array in self._arrays.values() if name in needed]
        graph = helper.make_graph(nodes, "policy", tensors[:1], tensors[1:], arrays)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ddpg_jax")

    def _needed_nodes(self, result: str) -> tuple[list[Any], set[str]]:
        """Returns the nodes that `result` depends on, and the names of all tensors that they read."""
        nodes, needed = [], {result}
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
        return nodes[::-1], needed


def element_type(dtype: Any) -> int:
    """Returns ONNX's number of a dtype."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def untranslatable(what: str) -> SettingError:
    """Returns the error about what cannot be translated to ONNX, such as "JAX's primitive 'sort'"."""
    return SettingError(f"format onnx has no translation of {what}, which this policy computes; format jax holds it.")
