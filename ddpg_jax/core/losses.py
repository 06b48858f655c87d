"""The equations without networks: the targets and losses of critics, and the squashed Gaussian of SAC.

Shapes are checked when a function is traced, which costs nothing when it runs: a [B, 1] where [B] is needed would
broadcast to [B, B] without an error.
"""

import chex
import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array, Key, Transition


def td_target(batch: Transition, next_value: Array, discount: Array | float) -> Array:
    """Returns y = r + γ d Q'(s', a'), with d = 0 where the episode terminated (Lillicrap et al. 2016, Algorithm 1).

    Args:
      batch: transitions [B].
      next_value: [B] the value of the next state under the target policy.
      discount: γ in [0, 1].

    Returns:
      [B] the regression target of the critic.
    """
    chex.assert_rank(batch.reward, 1)
    chex.assert_equal_shape([batch.reward, batch.discount, next_value])
    return batch.reward + discount * batch.discount * next_value


def td_loss(q: Array, target: Array) -> Array:
    """Returns the mean over the minibatch of (y - Q(s, a))², summed over an ensemble if there is one.

    Args:
      q: [B] or [E, B] predictions.
      target: [B] the regression target y, a constant.

    Returns:
      [] the loss.
    """
    chex.assert_rank([q, target], [{1, 2}, 1])
    chex.assert_equal_shape_suffix([q, target], 1)
    return jnp.square(q - target).mean(axis=-1).sum()


def categorical_projection(atoms: Array, probability: Array, support: Array) -> Array:
    """Returns Φ, the projection of a distribution onto a support (Bellemare et al. 2017, equation 7).

    The probability of an atom is divided between its two neighbors in the support, in inverse proportion to their
    distances; that of an atom outside the support goes to the nearest end.

    Args:
      atoms: [B, K] where the distribution has its mass.
      probability: [B, K] the probability of each atom.
      support: [K] ascending and evenly spaced.

    Returns:
      [B, K] the probability of each atom of the support.
    """
    chex.assert_rank([atoms, support], [2, 1])
    chex.assert_equal_shape([atoms, probability])
    chex.assert_equal_shape_suffix([atoms, support], 1)
    size = support.shape[-1]
    gap = (support[-1] - support[0]) / (size - 1)  # from both ends: the difference of two neighbors is rounded more
    place = (jnp.clip(atoms, support[0], support[-1]) - support[0]) / gap  # in [0, K - 1]

    # Atomic additions on a GPU have no fixed order, so runs would not be reproducible. All pairs of atoms take K times
    # the work, but are summed in a fixed order.
    return jax.lax.platform_dependent(place, probability, cpu=_scatter_to_neighbors, default=_sum_over_pairs)


def _sum_over_pairs(place: Array, probability: Array) -> Array:
    distance = jnp.abs(place[:, None, :] - jnp.arange(place.shape[-1])[:, None])  # [B, to, from]
    return (jnp.maximum(1 - distance, 0) * probability[:, None, :]).sum(axis=-1)


def _scatter_to_neighbors(place: Array, probability: Array) -> Array:
    lower = jnp.clip(place.astype(int), 0, place.shape[-1] - 2)
    fraction, row = place - lower, jnp.arange(len(place))[:, None]
    projected = jnp.zeros_like(probability).at[row, lower].add((1 - fraction) * probability)
    return projected.at[row, lower + 1].add(fraction * probability)


def cross_entropy(logits: Array, probability: Array) -> Array:
    """Returns -mean over the minibatch of Σ p log q, the loss of a categorical critic (Bellemare et al. 2017, Alg. 1).

    Args:
      logits: [B, K] of the prediction q.
      probability: [B, K] the target p, a constant.

    Returns:
      [] the loss.
    """
    chex.assert_rank(logits, 2)
    chex.assert_equal_shape([logits, probability])
    return -(probability * jax.nn.log_softmax(logits)).sum(axis=-1).mean()


def squash(key: Key, mean: Array, log_std: Array) -> tuple[Array, Array]:
    """Samples a = tanh(u), u ~ N(mean, std²), with its log-probability (Haarnoja et al. 2018, appendix C).

    log π(a) = log N(u) - Σ log(1 - tanh² u), where the second term is computed as 2 (log 2 - u - softplus(-2u)), which
    does not lose precision for large u.

    Args:
      key: for the sample.
      mean, log_std: [..., A] of the Gaussian before the tanh.

    Returns:
      [..., A] the action in [-1, 1] and [...] its log-probability, both differentiable in mean and log_std.
    """
    chex.assert_equal_shape([mean, log_std])
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    u = mean + jnp.exp(log_std) * noise
    gaussian = -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)
    correction = 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))
    return jnp.tanh(u), (gaussian - correction).sum(axis=-1)
