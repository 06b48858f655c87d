"""The equations, without networks: the critic's target, its loss, and the squashing of actions."""

import jax.numpy as jnp

from ddpg_jax.types import Array, Transition


def td_target(batch: Transition, next_value: Array, discount: Array | float) -> Array:
    """y = r + γ d Q'(s', a') with d = 0 where the episode terminated (Lillicrap et al. 2016, Algorithm 1).

    Args:
      batch: transitions [B].
      next_value: [B] the value of the next state under the target policy.
      discount: γ in [0, 1].

    Returns:
      [B] the regression target of the critic.
    """
    return batch.reward + discount * batch.discount * next_value


def td_loss(q: Array, target: Array) -> Array:
    """L = mean over the minibatch of (y - Q(s, a))², summed over an ensemble if there is one.

    Args:
      q: [B] or [E, B] predictions.
      target: [B] the regression target, a constant.

    Returns:
      [] the loss.
    """
    return jnp.square(q - target).mean(axis=-1).sum()
