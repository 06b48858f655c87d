"""A policy as ONNX: traced for a batch of symbolic size, then translated primitive by primitive (primitives.py)."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from ddpg_jax.deploy.export.graph import Graph, Value, untranslated
from ddpg_jax.deploy.export.primitives import CALLS, PRIMITIVES
from ddpg_jax.deploy.policy import Trained


def encode(trained: Trained) -> bytes:
    """The model: input "obs" [batch, *O], output "action" [batch, *A], in float32 whatever the run's precision.

    Raises:
      SettingError: the policy computes something that primitives.py does not translate.
    """
    model = convert(
        lambda learner, obs: trained._replace(learner=learner).act(obs),
        jax.device_get(trained.learner),
        jax.ShapeDtypeStruct(trained.spec.obs_shape, trained.spec.obs_dtype),
    )
    origin = {"algorithm": trained.run.algorithm, "environment": trained.spec.name, "seed": str(trained.seed)}
    for key, value in origin.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def convert(function: Callable[[Any, Any], Any], known: Any, obs: jax.ShapeDtypeStruct) -> Any:
    """An `onnx.ModelProto` of obs [batch, *O] -> action, checked by `onnx.checker`.

    Args:
      function: (known, obs [batch, *O]) -> action [batch, ...], in JAX.
      known: what is given with the model, a tree of arrays; those that are used keep their path as a name.
      obs: shape and dtype of one observation.

    Raises:
      SettingError: `function` computes something that primitives.py does not translate.
    """
    import onnx
    from jax import export

    (batch,) = export.symbolic_shape("batch")
    closed, shape = jax.make_jaxpr(function, return_shape=True)(
        known, jax.ShapeDtypeStruct((batch, *obs.shape), obs.dtype)
    )
    graph = Graph(batch, {id(leaf): _path(path) for path, leaf in jax.tree.leaves_with_path(known)})
    (action,) = _translate(graph, closed.jaxpr, closed.consts, [*jax.tree.leaves(known), "obs"])
    graph.add("Identity", action, name="action")
    model = graph.model(("obs", (batch, *obs.shape), obs.dtype), ("action", shape.shape, shape.dtype))
    onnx.checker.check_model(model, full_check=True)
    return model


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _translate(graph: Graph, jaxpr: Any, consts: Any, args: Any) -> list[Value]:
    """What a jaxpr computes from `args`, as nodes of the graph; what does not depend on "obs" is computed here."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(np.asarray, consts), *args], strict=True))

    def read(variable: Any) -> Value:
        if isinstance(variable, Literal):
            aval: Any = variable.aval
            return np.asarray(variable.val, aval.dtype)
        return values[variable]

    for equation in jaxpr.eqns:
        results = _equation(graph, equation, [read(variable) for variable in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _equation(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    name = equation.primitive.name
    if name in CALLS:
        inner = equation.params[CALLS[name]]
        return _translate(graph, getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs)
    if _foldable(equation, inputs):
        results = equation.primitive.bind(*inputs, **equation.params)
        return [np.asarray(result) for result in (results if equation.primitive.multiple_results else [results])]
    if name not in PRIMITIVES:
        raise untranslated(f"JAX's primitive {name!r}")
    results = PRIMITIVES[name](graph, equation, *inputs)
    return results if isinstance(results, list) else [results]


def _foldable(equation: Any, inputs: list[Value]) -> bool:
    """Whether all that it reads is known, and all that it makes has a size."""
    sizes = [size for variable in equation.outvars for size in variable.aval.shape]
    return all(isinstance(value, np.ndarray) for value in inputs) and all(isinstance(size, int) for size in sizes)
