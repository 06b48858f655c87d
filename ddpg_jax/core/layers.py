"""Layers of the networks: linear, convolution, normalization, and the stack of them below a network's output."""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ddpg_jax.core.collectives import DATA, num_shards
from ddpg_jax.core.types import Array

ACTIVATIONS = {"relu": nn.relu, "leaky-relu": nn.leaky_relu, "elu": nn.elu, "swish": nn.swish, "tanh": nn.tanh}

EXPANSION = 4  # features inside a residual block relative to its width


class Shape(NamedTuple):
    """The layers of a network: the fields of `NetworkConfig`, and what is known of the observations."""

    obs_ndim: int = 1
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    norm: str = "none"
    action_layer: int = 1
    final_scale: Any = None
    image: bool = False
    residual: bool = False


class Dense(nn.Module):
    """A linear layer whose weights and biases start in U(-scale, scale).

    The default scale is 1/√inputs (Lillicrap et al. 2016, section 7).
    """

    features: int
    scale: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        init = _uniform(x.shape[-1] ** -0.5 if self.scale is None else self.scale)
        return nn.Dense(self.features, kernel_init=init, bias_init=init)(x)


class Conv(nn.Module):
    """A 3 x 3 convolution with stride 2 and no padding: [..., H, W, C] -> [..., H', W', F].

    The kernel starts as that of `Dense`, the bias at 0: then a dark background contributes nothing, and the next layer
    sees only what is in front of it.

    It is one matrix product of the nine shifted images: under `vmap` over seeds XLA turns its own convolution into a
    grouped one, which is slow on CPU.
    """

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width = ((size - 3) // 2 + 1 for size in x.shape[-3:-1])
        shifted = [x[..., i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2, :] for i in range(3) for j in range(3)]
        init = _uniform((9 * x.shape[-1]) ** -0.5)
        return nn.Dense(self.features, kernel_init=init)(jnp.concatenate(shifted, axis=-1))


class Norm(nn.Module):
    """Batch norm, layer norm or nothing.

    The statistics of batch norm are over all dimensions but the last, and over the devices that share an agent.
    """

    kind: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.kind == "batch":
            acts, axis = not self.is_mutable_collection("batch_stats"), DATA if num_shards() > 1 else None
            # Not as E[x²] - E[x]², of which float32 leaves nothing where the mean is large beside the deviation.
            return nn.BatchNorm(use_running_average=acts, axis_name=axis, use_fast_variance=False)(x)
        return nn.LayerNorm()(x) if self.kind == "layer" else x


def hidden_layers(shape: Shape, obs: Array, action: Array | None = None) -> Array:
    """Applies all layers but the last, inside a compact module: [..., *O] (and [..., A]) -> [..., features]."""
    activate = ACTIVATIONS[shape.activation]
    batch = shape.norm if shape.norm == "batch" else "none"  # layer norm is for the layers after the convolutions
    if shape.image:
        x = Norm(batch)(obs.astype(jnp.float32) / 255)
        for _ in range(3):
            x = activate(Norm(batch)(Conv(32)(x)))
        x = flatten(x, 3)
    else:
        x = Norm(batch)(flatten(obs, shape.obs_ndim))
    if shape.residual:
        return _residual_layers(shape, x if action is None else jnp.concatenate([x, action], axis=-1))
    for layer, width in enumerate((*shape.hidden, None), 1):
        if action is not None and layer == shape.action_layer:
            x = jnp.concatenate([x, action], axis=-1)
        if width is not None:
            x = Dense(width)(x)
            after_action = action is not None and layer >= shape.action_layer
            x = activate(Norm("none" if after_action and shape.norm == "batch" else shape.norm)(x))
    return x


def _residual_layers(shape: Shape, x: Array) -> Array:
    """Applies a linear layer, then a residual block for each of the hidden widths, which are equal, then layer norm.

    A block is x + W₂ f(W₁ LN(x)), with `EXPANSION` times as many features inside (Lee et al. 2024, "SimBa", section 4).
    """
    activate, width = ACTIVATIONS[shape.activation], shape.hidden[0]
    x = Dense(width)(x)
    for _ in shape.hidden:
        inner = activate(Dense(EXPANSION * width)(nn.LayerNorm()(x)))
        x = x + Dense(width)(inner)
    return nn.LayerNorm()(x)


def flatten(obs: Array, ndim: int) -> Array:
    """Flattens the last `ndim` dimensions: [..., *O] -> [..., features] in float32."""
    lead = obs.shape[: obs.ndim - ndim]
    return obs.reshape(*lead, math.prod(obs.shape[obs.ndim - ndim :])).astype(jnp.float32)


def _uniform(scale: Any) -> Any:
    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -scale, scale)

    return init
