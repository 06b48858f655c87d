"""A policy as ONNX: traced for a batch of symbolic size, then translated by the table of onnx_primitives.py."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from ddpg_jax.deploy.export.onnx_graph import Graph, Value, untranslatable
from ddpg_jax.deploy.export.onnx_primitives import CALLS, PRIMITIVES
from ddpg_jax.deploy.policy import TrainedSeed


def encode(trained: TrainedSeed) -> bytes:
    """Serializes a model with input "obs" [batch, *O] and output "action" [batch, *A], always in float32.

    Raises:
      SettingError: the policy computes something that onnx_primitives.py does not translate.
    """
    model = convert(
        lambda learner, obs: trained._replace(learner=learner).policy(obs),
        jax.device_get(trained.learner),
        jax.ShapeDtypeStruct(trained.spec.obs_shape, trained.spec.obs_dtype),
    )
    origin = {"algorithm": trained.run.algorithm, "environment": trained.spec.name, "seed": str(trained.seed)}
    for key, value in origin.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def convert(function: Callable[[Any, Any], Any], params: Any, obs: jax.ShapeDtypeStruct) -> Any:
    """Converts a function to an `onnx.ModelProto` of obs [batch, *O] -> action, checked by `onnx.checker`.

    Args:
      function: (params, obs [batch, *O]) -> action [batch, ...], in JAX.
      params: a tree of arrays; the model contains those that it uses, named by their paths.
      obs: shape and dtype of one observation.

    Raises:
      SettingError: `function` computes something that onnx_primitives.py does not translate.
    """
    import onnx
    from jax import export

    (batch,) = export.symbolic_shape("batch")
    batched_obs = jax.ShapeDtypeStruct((batch, *obs.shape), obs.dtype)
    closed, action_shape = jax.make_jaxpr(function, return_shape=True)(params, batched_obs)
    graph = Graph(batch, {id(leaf): _path_name(path) for path, leaf in jax.tree.leaves_with_path(params)})
    (action,) = _translate(graph, closed.jaxpr, closed.consts, [*jax.tree.leaves(params), "obs"])
    graph.add("Identity", action, name="action")
    output = ("action", action_shape.shape, action_shape.dtype)
    model = graph.to_model(("obs", batched_obs.shape, batched_obs.dtype), output)
    onnx.checker.check_model(model, full_check=True)
    return model


def _path_name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _translate(graph: Graph, jaxpr: Any, consts: Any, args: Any) -> list[Value]:
    """Adds what a jaxpr computes from `args` to the graph; what does not depend on "obs" is computed here."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(np.asarray, consts), *args], strict=True))

    def read(variable: Any) -> Value:
        if isinstance(variable, Literal):
            aval: Any = variable.aval
            return np.asarray(variable.val, aval.dtype)
        return values[variable]

    for equation in jaxpr.eqns:
        results = _translate_equation(graph, equation, [read(variable) for variable in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _translate_equation(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    name = equation.primitive.name
    if name in CALLS:
        inner = equation.params[CALLS[name]]
        return _translate(graph, getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs)
    if _is_constant(equation, inputs):
        results = equation.primitive.bind(*inputs, **equation.params)
        return [np.asarray(result) for result in (results if equation.primitive.multiple_results else [results])]
    if name not in PRIMITIVES:
        raise untranslatable(f"JAX's primitive {name!r}")
    results = PRIMITIVES[name](graph, equation, *inputs)
    return results if isinstance(results, list) else [results]


def _is_constant(equation: Any, inputs: list[Value]) -> bool:
    """Whether all inputs of an equation are known, and no size of its outputs depends on the batch."""
    sizes = [size for variable in equation.outvars for size in variable.aval.shape]
    return all(isinstance(value, np.ndarray) for value in inputs) and all(isinstance(size, int) for size in sizes)
