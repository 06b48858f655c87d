"""Actors and critics as flax modules, and `network`, which turns a module into three pure functions.

Batch norm: `apply_train` uses the minibatch and updates the running statistics, `apply` uses the running ones. Within
an update every network, the targets included, normalizes by the minibatch that it is given; acting and evaluation use
the running statistics. With targets by running statistics, DDPG as published did not solve Pendulum.
"""

from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ddpg_jax.core.layers import ACTIVATIONS, Conv, Dense, Norm, flatten
from ddpg_jax.core.settings import SettingError, configclass, setting
from ddpg_jax.core.types import Array, Network, Spec


@configclass
class NetworkConfig:
    """The networks of actor and critic; images go through three convolutions of 32 filters first."""

    hidden: tuple[int, ...] = setting(default=(256, 256), help="widths of the hidden layers of all networks", low=1)
    activation: Literal["relu", "leaky-relu", "elu", "swish", "tanh"] = setting(
        default="relu", help="what follows each hidden layer"
    )
    norm: Literal["none", "layer", "batch"] = setting(
        default="none", help="layer: in each hidden layer; batch: of the state and each layer before the action"
    )
    action_layer: int = setting(default=1, help="layer of the critic at which the action enters", low=1)
    final_scale: float | None = setting(
        default=None, help="bound of the last layers' initial weights; none: as the other layers", low=0
    )


class Shape(NamedTuple):
    """What a network's layers are made of: `NetworkConfig`, and the observation's dimensions."""

    obs_ndim: int = 1
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    norm: str = "none"
    action_layer: int = 1
    final_scale: Any = None
    image: bool = False


def network_shape(config: NetworkConfig, spec: Spec) -> Shape:
    """Returns the shape of the networks that `config` asks for, for environments with this `spec`.

    Raises:
      SettingError: the action would enter after the output, or images are too small for three convolutions.
    """
    if spec.image and min(spec.obs_shape[:2]) < 15:
        raise SettingError(f"Images must be at least 15 x 15 for the default networks, not {spec.obs_shape[:2]}.")
    last = len(config.hidden) + 1
    if config.action_layer > last:
        raise SettingError(f"action_layer must be at most {last}, one past `hidden`, not {config.action_layer}.")
    layers = (config.hidden, config.activation, config.norm, config.action_layer, config.final_scale)
    return Shape(len(spec.obs_shape), *layers, spec.image)


def network(module: nn.Module) -> Network:
    """The module as pure functions of its variables.

    `apply` uses the running statistics of batch norm; `apply_train` uses those of the minibatch and returns both the
    output and the updated running statistics.
    """

    def init(key, *x):
        return module.init(key, *x)

    def apply(variables, *x):
        return module.apply(variables, *x)

    def apply_train(variables, *x):
        return module.apply(variables, *x, mutable=["batch_stats"])

    return Network(init, apply, apply_train)


def ensemble(member: Network, size: int) -> Network:
    """`size` independent copies as one batched network; every variable and every output leads with [E]."""

    def over_members(call):
        return lambda variables, *x: jax.vmap(call, in_axes=(0, *(None for _ in x)))(variables, *x)

    def init(key, *x):
        return jax.vmap(lambda key: member.init(key, *x))(jax.random.split(key, size))

    return Network(init, over_members(member.apply), over_members(member.apply_train))


def torso(shape: Shape, obs: Array, action: Array | None = None) -> Array:
    """The layers below the output, inside a compact module: [..., *O] (and [..., A]) -> [..., features]."""
    activate = ACTIVATIONS[shape.activation]
    batch = shape.norm if shape.norm == "batch" else "none"  # layer norm is for the layers after the convolutions
    if shape.image:
        x = Norm(batch)(obs.astype(jnp.float32) / 255)
        for _ in range(3):
            x = activate(Norm(batch)(Conv(32)(x)))
        x = flatten(x, 3)
    else:
        x = Norm(batch)(flatten(obs, shape.obs_ndim))
    for layer, width in enumerate((*shape.hidden, None), 1):
        if action is not None and layer == shape.action_layer:
            x = jnp.concatenate([x, action], axis=-1)
        if width is not None:
            x = Dense(width)(x)
            mixed = action is not None and layer >= shape.action_layer
            x = activate(Norm("none" if mixed and shape.norm == "batch" else shape.norm)(x))
    return x


class Actor(nn.Module):
    """μ(s) = tanh(MLP(s)): [..., *O] -> [..., A] in [-1, 1]."""

    action_size: int
    shape: Shape = Shape()

    @nn.compact
    def __call__(self, obs: Array) -> Array:
        x = torso(self.shape, obs)
        return nn.tanh(Dense(self.action_size, self.shape.final_scale)(x))


class GaussianActor(nn.Module):
    """Mean and log standard deviation of a Gaussian before the tanh: [..., *O] -> [..., A], [..., A].

    The log standard deviation is squashed into [-5, 2], so that neither a collapse nor an explosion is out of reach
    of its gradient.
    """

    action_size: int
    shape: Shape = Shape()

    @nn.compact
    def __call__(self, obs: Array) -> tuple[Array, Array]:
        x = torso(self.shape, obs)
        mean, spread = (Dense(self.action_size, self.shape.final_scale)(x) for _ in range(2))
        return mean, -1.5 + 3.5 * nn.tanh(spread)


class Critic(nn.Module):
    """Q(s, a) = MLP(s, a): [..., *O], [..., A] -> [...]; without an action V(s); with atoms K, logits [..., K]."""

    shape: Shape = Shape()
    atoms: int | None = None

    @nn.compact
    def __call__(self, obs: Array, action: Array | None = None) -> Array:
        x = torso(self.shape, obs, action)
        x = Dense(self.atoms or 1, self.shape.final_scale)(x)
        return x if self.atoms else x.squeeze(-1)


def default_actor(config: NetworkConfig, spec: Spec) -> Network:
    """Returns μ(s) as `config` asks for it: an MLP, for images behind three convolutions."""
    return network(Actor(spec.action_size, network_shape(config, spec)))


def default_critic(config: NetworkConfig, spec: Spec, atoms: int | None = None) -> Network:
    """Returns Q(s, a) as `config` asks for it: an MLP, for images behind three convolutions.

    Args:
      config: widths, activation, normalization.
      spec: of the environment.
      atoms: K, where the critic gives the logits of a categorical distribution.
    """
    return network(Critic(network_shape(config, spec), atoms))
