"""The equations, without networks: the critic's target and its losses, and the squashing of actions."""

import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array, Key, Transition


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


def categorical_projection(atoms: Array, probability: Array, support: Array) -> Array:
    """Φ: a distribution on any atoms as one on those of `support` (Bellemare et al. 2017, equation 7).

    An atom gives its probability to its two neighbors in the support, the nearer one having the greater share; beyond
    the support, all of it to the end.

    Args:
      atoms, probability: [B, K] where the mass is, and how much.
      support: [K] ascending, evenly spaced.

    Returns:
      [B, K] the probability of each atom of the support.
    """
    size = support.shape[-1]
    gap = (support[-1] - support[0]) / (size - 1)  # from the ends, for the rounding of two neighbors would add up
    place = (jnp.clip(atoms, support[0], support[-1]) - support[0]) / gap  # in [0, K - 1]

    def all_pairs(place, probability):
        distance = jnp.abs(place[:, None, :] - jnp.arange(size)[:, None])  # [B, to, from]
        return (jnp.maximum(1 - distance, 0) * probability[:, None, :]).sum(axis=-1)

    def two_places(place, probability):
        lower = jnp.clip(place.astype(int), 0, size - 2)
        share, row = place - lower, jnp.arange(len(place))[:, None]
        given = jnp.zeros_like(probability).at[row, lower].add((1 - share) * probability)
        return given.at[row, lower + 1].add(share * probability)

    # All pairs are K times the work, but summed in one order: a GPU adds to places in any, and no run would repeat.
    return jax.lax.platform_dependent(place, probability, cpu=two_places, default=all_pairs)


def cross_entropy(logits: Array, probability: Array) -> Array:
    """H = -mean over the minibatch of Σ p log q: what a categorical critic descends (Bellemare et al. 2017, Alg. 1).

    Args:
      logits: [B, K] of the prediction q.
      probability: [B, K] p, a constant.

    Returns:
      [] the loss.
    """
    return -(probability * jax.nn.log_softmax(logits)).sum(axis=-1).mean()


def squash(key: Key, mean: Array, log_std: Array) -> tuple[Array, Array]:
    """a = tanh(u), u ~ N(mean, std²), with its exact log-probability (Haarnoja et al. 2018, appendix C).

    log π(a) = log N(u) - Σ log(1 - tanh² u), the second term as 2 (log 2 - u - softplus(-2u)), which does not cancel.

    Args:
      mean, log_std: [..., A] of the Gaussian before the squashing.

    Returns:
      [..., A] the action in [-1, 1] and [...] its log-probability, both differentiable in mean and log_std.
    """
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    u = mean + jnp.exp(log_std) * noise
    gaussian = -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)
    correction = 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))
    return jnp.tanh(u), (gaussian - correction).sum(axis=-1)
