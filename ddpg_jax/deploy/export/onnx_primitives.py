"""The table of the JAX primitives that are translated to ONNX (opset 18); onnx_model.py refuses all others.

Elementwise nodes of ONNX broadcast axes of size 1 as JAX does.
"""

from ddpg_jax.deploy.export import onnx_rules as rules
from ddpg_jax.deploy.export.onnx_graph import element_type

# Primitives that call an inner program, and the parameter that holds it; its nodes are written in their place.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}

NODES = {
    "add": "Add",
    "add_any": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "pow": "Pow",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "logistic": "Sigmoid",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "floor": "Floor",
    "ceil": "Ceil",
    "eq": "Equal",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "lt": "Less",
    "le": "LessOrEqual",
    "copy": "Identity",
    "stop_gradient": "Identity",
}
PRIMITIVES: dict[str, rules.Rule] = {
    **{name: rules.node(op) for name, op in NODES.items()},
    **{f"reduce_{name}": rules.reduction(f"Reduce{name.title()}") for name in ("sum", "max", "min")},
    "reshape": rules.reshape,
    "squeeze": rules.reshape,
    "expand_dims": rules.reshape,
    "broadcast_in_dim": rules.broadcast,
    "dot_general": rules.dot,
    "select_n": rules.select,
    "slice": rules.slice,
    "split": rules.split,
    "gather": rules.gather,
    "transpose": lambda graph, equation, x: graph.add("Transpose", x, perm=equation.params["permutation"]),
    "concatenate": lambda graph, equation, *xs: graph.add("Concat", *xs, axis=equation.params["dimension"]),
    "convert_element_type": lambda graph, equation, x: graph.add(
        "Cast", x, to=element_type(equation.params["new_dtype"])
    ),
    "square": lambda graph, equation, x: graph.add("Mul", x, x),
    "integer_pow": lambda graph, equation, x: graph.add("Pow", x, equation.params["y"] * rules.one(equation)),
    "rsqrt": lambda graph, equation, x: graph.add("Reciprocal", graph.add("Sqrt", x)),
    "expm1": lambda graph, equation, x: graph.add("Sub", graph.add("Exp", x), rules.one(equation)),
    "log1p": lambda graph, equation, x: graph.add("Log", graph.add("Add", x, rules.one(equation))),
    "clamp": lambda graph, equation, low, x, high: graph.add("Min", graph.add("Max", x, low), high),
    "ne": lambda graph, equation, x, y: graph.add("Not", graph.add("Equal", x, y)),
}
