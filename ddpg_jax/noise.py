"""Exploration: noise added to a policy's action, inside the box [-1, 1] where half a range is 1."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.types import Array, Explorer, Key, Learner


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


def stochastic(sample: Callable[[Learner, Array, Key], tuple[Array, Any]]) -> Explorer:
    """Tries what a stochastic policy draws; `sample` gives (action [N, A], anything)."""

    def act(learner, carry, obs, first, key):
        return sample(learner, obs, key)[0], carry

    return Explorer(lambda num_envs: (), act)
