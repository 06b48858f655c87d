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
    """policy(obs [*O] or [B, *O]) -> action, in the environment's own shape and units."""
    with np.load(path) as file:
        stored = dict(file)
    shapes = [tuple(stored[name]) for name in ("obs_shape", "action_shape")]
    arrays = [[stored[key] for key in sorted(stored) if key.startswith(f"{i}.")] for i in range(len(stored["steps"]))]

    def policy(obs):
        obs = np.asarray(obs, np.float32)
        lead = obs.shape[: obs.ndim - len(shapes[0])]
        x = obs.reshape(*lead, np.prod(shapes[0], dtype=int))
        for name, given in zip(stored["steps"], arrays, strict=True):
            x = STEPS[name](x, *given)
        return x.reshape(*lead, *shapes[1])

    return policy
