"""Actors and critics as flax modules, and `network`, which turns a module into three pure functions.

Batch norm: `apply_train` uses the statistics of the minibatch and updates the running statistics; `apply` uses the
running statistics. Within an update every network, the targets too, is called by `apply_train`; acting and evaluation
call `apply`, as Lillicrap et al. 2016 describe it (section 3). With running statistics also in the targets and in the
critic of the actor's loss, their settings did not solve Pendulum.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from ddpg_jax.core.layers import Dense, Shape, hidden_layers
from ddpg_jax.core.platforms import on_gpu
from ddpg_jax.core.settings import SettingError, configclass, setting
from ddpg_jax.core.types import Array, Network, Spec

Norm = Literal["none", "layer", "batch"]


@configclass
class NetworkConfig:
    """The networks of actor and critic; for images, three convolutions of 32 filters come first."""

    hidden: tuple[int, ...] = setting(
        default=(256, 256), help="widths of the hidden layers of all networks", low=1, longest=100
    )
    activation: Literal["relu", "leaky-relu", "elu", "swish", "tanh"] = setting(
        default="relu", help="activation function of the hidden layers"
    )
    norm: Norm = setting(
        default="none",
        help="normalization: layer norm in every hidden layer, or batch norm of the observation and of the layers "
        "before the action enters",
    )
    residual: bool = setting(
        default=False,
        help="hidden layers are residual blocks of one width (Lee et al. 2024): layer norm before, four times as wide "
        "inside; usually with normalize_obs",
    )
    action_layer: int = setting(
        default=1, help="layer of the critic whose input includes the action, counted from 1", low=1
    )
    final_scale: float | None = setting(
        default=None,
        help="bound of the initial weights of the last layer, U(-bound, bound); None: 1/√inputs as in the other layers",
        low=0,
        high=1_000_000,
        at_start=True,
    )


def network_shape(config: NetworkConfig, spec: Spec) -> Shape:
    """Returns the layers of the networks that `config` asks for, for environments with this `spec`.

    Raises:
      SettingError: the action would enter after the output, images are too small for three convolutions, or residual
        blocks are to have different widths, batch norm or the action in the middle.
    """
    if spec.image and min(spec.obs_shape[:2]) < 15:
        raise SettingError(f"Images must be at least 15 x 15 for the default networks, not {spec.obs_shape[:2]}.")
    last = len(config.hidden) + 1
    if config.action_layer > last:
        raise SettingError(f"action_layer must be at most {last}, one past `hidden`, not {config.action_layer}.")
    if config.residual:
        _check_residual(config)
    layers = (config.hidden, config.activation, config.norm, config.action_layer, config.final_scale)
    return Shape(len(spec.obs_shape), *layers, spec.image, config.residual)


def _check_residual(config: NetworkConfig) -> None:
    if len(set(config.hidden)) != 1:
        raise SettingError(f"hidden must be one or more equal widths where residual is given, not {config.hidden}.")
    if config.norm == "batch":
        raise SettingError("norm must be none or layer where residual is given, not batch.")
    if config.action_layer != 1:
        raise SettingError(f"action_layer must be 1 where residual is given, not {config.action_layer}.")


class Actor(nn.Module):
    """μ(s) = tanh(MLP(s)): [..., *O] -> [..., A] in [-1, 1]."""

    action_size: int
    shape: Shape = Shape()

    @nn.compact
    def __call__(self, obs: Array) -> Array:
        x = hidden_layers(self.shape, obs)
        return nn.tanh(Dense(self.action_size, self.shape.final_scale)(x))


class GaussianActor(nn.Module):
    """Mean and log standard deviation of a Gaussian before the tanh: [..., *O] -> [..., A], [..., A].

    The log standard deviation is -1.5 + 3.5 tanh(x), between -5 and 2; unlike clipping, that keeps a gradient at both
    ends.
    """

    action_size: int
    shape: Shape = Shape()

    @nn.compact
    def __call__(self, obs: Array) -> tuple[Array, Array]:
        x = hidden_layers(self.shape, obs)
        mean, log_std = (Dense(self.action_size, self.shape.final_scale)(x) for _ in range(2))
        return mean, -1.5 + 3.5 * nn.tanh(log_std)


class Critic(nn.Module):
    """Q(s, a) = MLP(s, a): [..., *O], [..., A] -> [...]; without an action V(s); with K atoms, K outputs [..., K]."""

    shape: Shape = Shape()
    atoms: int | None = None

    @nn.compact
    def __call__(self, obs: Array, action: Array | None = None) -> Array:
        x = hidden_layers(self.shape, obs, action)
        x = Dense(self.atoms or 1, self.shape.final_scale)(x)
        return x if self.atoms else x.squeeze(-1)


def network(module: nn.Module) -> Network:
    """Returns the module as pure functions of its variables.

    `apply` uses the running statistics of batch norm; `apply_train` uses those of the minibatch, and returns the output
    and the updated running statistics.
    """

    def init(key, *x):
        return module.init(key, *x)

    def apply(variables, *x):
        return module.apply(variables, *x)

    def apply_train(variables, *x):
        return module.apply(variables, *x, mutable=["batch_stats"])

    return Network(init, apply, apply_train)


def ensemble(member: Network, size: int) -> Network:
    """Returns `size` independent copies as one network; every variable and every output has a leading dimension [E]."""

    def init(key, *x):
        return jax.vmap(member.init, in_axes=(0, *(None for _ in x)))(jax.random.split(key, size), *x)

    return Network(init, _over_members(member.apply, size), _over_members(member.apply_train, size))


def first_member(member: Network) -> Network:
    """Returns the first of an ensemble of this network, as a function of the variables of all."""

    def first(variables):
        return jax.tree.map(lambda leaf: leaf[0], variables)

    def apply(variables, *x):
        return member.apply(first(variables), *x)

    def apply_train(variables, *x):
        return member.apply_train(first(variables), *x)

    return Network(member.init, apply, apply_train)


def with_output(network: Network, function: Callable[[Any], Any]) -> Network:
    """Returns the network with a function of its output in place of the output."""

    def apply(variables, *x):
        return function(network.apply(variables, *x))

    def apply_train(variables, *x):
        output, mutated = network.apply_train(variables, *x)
        return function(output), mutated

    return Network(network.init, apply, apply_train)


def _over_members(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """Returns function(variables, *x) of every member, whose variables have a leading dimension [E], on the same `x`.

    On a GPU each member has an `x` of its own. XLA would otherwise make one product of the first layers of all members,
    for which it transposes their weights before it and the gradients after it.
    """

    def shared(variables, *x):
        return jax.vmap(function, in_axes=(0, *(None for _ in x)))(variables, *x)

    def repeated(variables, *x):
        return jax.vmap(function)(variables, *(jnp.broadcast_to(one, (size, *one.shape)) for one in x))

    return partial(on_gpu, repeated, shared)


def default_actor(config: NetworkConfig, spec: Spec) -> Network:
    """Returns μ(s) with the layers that `config` asks for."""
    return network(Actor(spec.action_size, network_shape(config, spec)))


def default_critic(config: NetworkConfig, spec: Spec, atoms: int | None = None) -> Network:
    """Returns Q(s, a) with the layers that `config` asks for; with K `atoms`, K outputs: logits, or quantiles."""
    return network(Critic(network_shape(config, spec), atoms))
