"""The layers that networks are made of: linear, convolution, norm, initialized as the paper does but for the biases of
convolutions."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ddpg_jax.core.collectives import DATA, num_shards
from ddpg_jax.core.types import Array

ACTIVATIONS = {"relu": nn.relu, "leaky-relu": nn.leaky_relu, "elu": nn.elu, "swish": nn.swish, "tanh": nn.tanh}


class Dense(nn.Module):
    """A linear layer, weights and biases from U(-scale, scale); None: 1/√inputs (Lillicrap et al. 2016, section 7)."""

    features: int
    scale: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        draw = _uniform(x.shape[-1] ** -0.5 if self.scale is None else self.scale)
        return nn.Dense(self.features, kernel_init=draw, bias_init=draw)(x)


class Conv(nn.Module):
    """A convolution 3 x 3 with stride 2 and no padding: [..., H, W, C] -> [..., H', W', F].

    Its kernel begins as that of `Dense` does, its bias at 0: a dark background then says nothing, and what moves in
    front of it is all that the next layer sees.

    Written as one matrix product of the nine shifted images: under `vmap` over seeds XLA's own convolution becomes a
    grouped one, which is slow on CPU.
    """

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width = ((size - 3) // 2 + 1 for size in x.shape[-3:-1])
        shifted = [x[..., i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2, :] for i in range(3) for j in range(3)]
        draw = _uniform((9 * x.shape[-1]) ** -0.5)
        return nn.Dense(self.features, kernel_init=draw)(jnp.concatenate(shifted, axis=-1))


class Norm(nn.Module):
    """Batch norm (over all but the last dimension, and the devices that share an agent), layer norm or nothing."""

    kind: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.kind == "batch":
            axis = DATA if num_shards() > 1 else None
            return nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"), axis_name=axis)(x)
        return nn.LayerNorm()(x) if self.kind == "layer" else x


def flatten(obs: Array, ndim: int) -> Array:
    """[..., *O] -> [..., features] in float32."""
    lead = obs.shape[: obs.ndim - ndim]
    return obs.reshape(*lead, math.prod(obs.shape[obs.ndim - ndim :])).astype(jnp.float32)


def _uniform(scale: Any) -> Any:
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -scale, scale)
