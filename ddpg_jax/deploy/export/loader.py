"""A policy from `ddpg-jax export RUN --format npz`, run by NumPy alone: `policy = load("policy.npz")`."""

import numpy as np

STEPS: dict = {
    "affine": lambda x, mean, scale, bias: (x - mean) * scale + bias,
    "clip": np.clip,
    "dense": lambda x, weight, bias: x @ weight + bias,
    "standardize": lambda x, eps: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps),
    "relu": lambda x: np.maximum(x, 0),
    "leaky-relu": lambda x: np.where(x < 0, np.float32(0.01) * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "swish": lambda x: x / 2 * (1 + np.tanh(x / 2)),
    "tanh": np.tanh,
}


def load(path):
    """Returns policy(obs [*O] or [B, *O]) -> action, in the environment's own shape and units."""
    with np.load(path) as file:
        arrays = dict(file)
    names, obs_shape, action_shape = (arrays.pop(name) for name in ("steps", "obs_shape", "action_shape"))
    parameters = [[arrays[key] for key in sorted(arrays) if key.startswith(f"{i}.")] for i in range(len(names))]

    def policy(obs):
        obs = np.asarray(obs, np.float32)
        batch = obs.shape[: obs.ndim - len(obs_shape)]
        x = obs.reshape((*batch, obs_shape.prod()))
        for name, values in zip(names, parameters, strict=True):
            x = STEPS[name](x, *values)
        return x.reshape((*batch, *action_shape))

    return policy
