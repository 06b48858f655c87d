"""Actors and critics as flax modules, and `network`, which turns a module into three pure functions."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Network


def network(module: nn.Module) -> Network:
    """The module as pure functions of its variables.

    `apply` evaluates (running statistics are used), `train` trains (they are moved and returned).
    """

    def init(key, *x):
        return module.init(key, *x)

    def apply(variables, *x):
        return module.apply(variables, *x)

    def train(variables, *x):
        return module.apply(variables, *x, mutable=["batch_stats"])

    return Network(init, apply, train)


def ensemble(member: Network, size: int) -> Network:
    """`size` independent copies as one batched network; every variable and every output leads with [E]."""

    def over_members(call):
        return lambda variables, *x: jax.vmap(call, in_axes=(0, *(None for _ in x)))(variables, *x)

    def init(key, *x):
        return jax.vmap(lambda key: member.init(key, *x))(jax.random.split(key, size))

    return Network(init, over_members(member.apply), over_members(member.train))


class Dense(nn.Module):
    """A linear layer, weights and biases from U(-scale, scale); None: 1/√inputs (Lillicrap et al. 2016, section 7)."""

    features: int
    scale: float | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = x.shape[-1] ** -0.5 if self.scale is None else self.scale

        def draw(key, shape, dtype=jnp.float32):
            return jax.random.uniform(key, shape, dtype, -scale, scale)

        return nn.Dense(self.features, kernel_init=draw, bias_init=draw)(x)


class Actor(nn.Module):
    """μ(s) = tanh(MLP(s)): [..., *O] -> [..., A] in [-1, 1]."""

    obs_ndim: int
    action_size: int
    hidden: Sequence[int] = (256, 256)

    @nn.compact
    def __call__(self, obs: Array) -> Array:
        x = flatten(obs, self.obs_ndim)
        for width in self.hidden:
            x = nn.relu(Dense(width)(x))
        return nn.tanh(Dense(self.action_size)(x))


class GaussianActor(nn.Module):
    """Mean and log standard deviation of a Gaussian before the tanh: [..., *O] -> [..., A], [..., A].

    The log standard deviation is squashed into [-5, 2], so that neither a collapse nor an explosion is out of reach
    of its gradient.
    """

    obs_ndim: int
    action_size: int
    hidden: Sequence[int] = (256, 256)

    @nn.compact
    def __call__(self, obs: Array) -> tuple[Array, Array]:
        x = flatten(obs, self.obs_ndim)
        for width in self.hidden:
            x = nn.relu(Dense(width)(x))
        return Dense(self.action_size)(x), -1.5 + 3.5 * nn.tanh(Dense(self.action_size)(x))


class Critic(nn.Module):
    """Q(s, a) = MLP(s, a): [..., *O], [..., A] -> [...]."""

    obs_ndim: int
    hidden: Sequence[int] = (256, 256)

    @nn.compact
    def __call__(self, obs: Array, action: Array) -> Array:
        x = jnp.concatenate([flatten(obs, self.obs_ndim), action], axis=-1)
        for width in self.hidden:
            x = nn.relu(Dense(width)(x))
        return Dense(1)(x).squeeze(-1)


def flatten(obs: Array, ndim: int) -> Array:
    """[..., *O] -> [..., features] in float32."""
    lead = obs.shape[: obs.ndim - ndim]
    return obs.reshape(*lead, math.prod(obs.shape[obs.ndim - ndim :])).astype(jnp.float32)
