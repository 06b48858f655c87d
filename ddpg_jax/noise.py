"""Exploration: noise added to a policy's action, inside the box [-1, 1] where half a range is 1."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Explorer, Key, Learner

Noise = Literal["gaussian", "ou", "epsilon-uniform"]


def explorer(config: Any, policy: Callable[[Learner, Array], Array], action_size: int) -> Explorer:
    """The explorer that `config.noise` names, with `config`'s `noise_scale`, `noise_theta` and `noise_epsilon`."""
    if config.noise == "ou":
        return ornstein_uhlenbeck(policy, action_size, config.noise_scale, config.noise_theta)
    around = gaussian(policy, config.noise_scale)
    return epsilon_uniform(around, config.noise_epsilon) if config.noise == "epsilon-uniform" else around


def uniform(action_size: int) -> Explorer:
    """Ignores the policy and covers the whole box: the warm-up."""

    def act(learner, carry, obs, first, key):
        return jax.random.uniform(key, (first.shape[0], action_size), minval=-1.0, maxval=1.0), carry

    return Explorer(lambda num_envs: (), act)


def gaussian(policy: Callable[[Learner, Array], Array], scale: Array | float) -> Explorer:
    """a = clip(μ(s) + σ ε), ε ~ N(0, 1) per dimension (Fujimoto et al. 2018, section 6.1).

    Args:
      policy: (learner, obs [N, *O]) -> action [N, A] in [-1, 1].
      scale: σ, in half-ranges of each action dimension.
    """

    def act(learner, carry, obs, first, key):
        action = policy(learner, obs)
        noise = scale * jax.random.normal(key, action.shape, action.dtype)
        return jnp.clip(action + noise, -1.0, 1.0), carry

    return Explorer(lambda num_envs: (), act)


def ornstein_uhlenbeck(
    policy: Callable[[Learner, Array], Array], action_size: int, scale: Array | float, theta: Array | float
) -> Explorer:
    """a = clip(μ(s) + x), x <- x - θ x + σ ε, from x = 0 at the start of each episode (Lillicrap et al. 2016, sec. 7).

    Args:
      policy, scale: as for `gaussian`; σ is per step, so x spreads by σ / √(2θ - θ²) in the long run.
      action_size: A.
      theta: θ in (0, 1], the share of x that is forgotten in a step.

    The carry is x [N, A], one process per environment.
    """

    def act(learner, carry, obs, first, key):
        carry = jnp.where(first[:, None], 0.0, carry)
        carry = carry - theta * carry + scale * jax.random.normal(key, carry.shape)
        return jnp.clip(policy(learner, obs) + carry, -1.0, 1.0), carry

    return Explorer(lambda num_envs: jnp.zeros((num_envs, action_size)), act)


def epsilon_uniform(explorer: Explorer, epsilon: Array | float) -> Explorer:
    """With probability ε an environment tries a uniformly random action, else what `explorer` tries."""

    def act(learner, carry, obs, first, key):
        explore_key, coin_key, uniform_key = jax.random.split(key, 3)
        action, carry = explorer.act(learner, carry, obs, first, explore_key)
        coin = jax.random.bernoulli(coin_key, epsilon, (action.shape[0], 1))
        return jnp.where(coin, jax.random.uniform(uniform_key, action.shape, minval=-1.0), action), carry

    return Explorer(explorer.init, act)


def stochastic(sample: Callable[[Learner, Array, Key], tuple[Array, Any]]) -> Explorer:
    """Tries what a stochastic policy draws; `sample` gives (action [N, A], anything)."""

    def act(learner, carry, obs, first, key):
        return sample(learner, obs, key)[0], carry

    return Explorer(lambda num_envs: (), act)
