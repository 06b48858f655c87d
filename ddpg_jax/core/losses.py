"""The equations without networks: the targets and losses of critics, and the squashed Gaussian of SAC.

Shapes are checked when a function is traced, which costs nothing when it runs: a [B, 1] where [B] is needed would
broadcast to [B, B] without an error.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.types import Array, Key, Transition

# A critic's loss, (q, target, weight=None) -> []. q is [B] or, of an ensemble, [E, B]; the target [B] is a constant;
# importance weights are [B], or None where all are 1. Of a critic with K outputs, q is [B, K] or [E, B, K] and the
# target [B, K].
CriticLoss = Callable[..., Array]


def td_target(batch: Transition, next_value: Array, discount: Array | float) -> Array:
    """Returns y = r + γ d Q'(s', a'), with d = 0 where the episode terminated (Lillicrap et al. 2016, Algorithm 1).

    Args:
      batch: transitions [B].
      next_value: [B] the value of the next state under the target policy, or [B, K] the K outputs of a critic there.
      discount: γ in [0, 1].

    Returns:
      [B] or [B, K], as `next_value`: the regression target of the critic.
    """
    chex.assert_rank([batch.reward, next_value], [1, {1, 2}])
    chex.assert_equal_shape_prefix([batch.reward, batch.discount, next_value], 1)
    reward, kept = (per_output(numbers, next_value) for numbers in (batch.reward, batch.discount))
    return reward + discount * kept * next_value


def per_output(numbers: Array, q: Array) -> Array:
    """Returns numbers [B] in a shape that broadcasts with q: as they are for q [B], [B, 1] for q [B, K]."""
    return numbers if q.ndim == numbers.ndim else numbers[:, None]


def mean_output(q: Array, dimensions: int) -> Array:
    """Returns Q [...] of a critic: what it returns, if that has so many dimensions, else the mean of its K outputs."""
    return q if q.ndim == dimensions else q.mean(axis=-1)


def td_loss(q: Array, target: Array, weight: Array | None = None) -> Array:
    """Returns the mean over the minibatch of w (y - Q(s, a))², summed over an ensemble if there is one.

    Args:
      q: [B] or [E, B] predictions; of a critic with K outputs [B, K] or [E, B, K], the mean of K squared errors counts.
      target: [B] or [B, K] the regression target y, a constant.
      weight: [B] importance weights w; None: all are 1.

    Returns:
      [] the loss.
    """
    _check_shapes(q, target)
    return _reduced(jnp.square(q - target), target, weight)


def huber_loss(q: Array, target: Array, weight: Array | None = None) -> Array:
    """Returns Huber's loss with δ = 1 in place of the square of `td_loss` (Huber 1964, "Robust estimation", eq. 2).

    It is half the square up to an error of 1 and linear beyond, so no gradient is larger than 1.

    Args:
      q, target, weight: as for `td_loss`.

    Returns:
      [] the loss.
    """
    _check_shapes(q, target)
    return _reduced(optax.losses.huber_loss(q, target), target, weight)


def quantile_huber_loss(q: Array, target: Array, weight: Array | None = None) -> Array:
    """Returns the loss of quantile regression, smoothed by Huber's with κ = 1 (Dabney et al. 2018, equation 10).

    "Distributional reinforcement learning with quantile regression": output i estimates the quantile at τ = (i + ½) / K
    of the return, and the numbers of the target are samples of it, K or as many as there are. TQC has the same loss
    (Kuznetsov et al. 2020, "Controlling overestimation bias with truncated mixture of continuous distributional
    quantile critics").

    Args:
      q: [B, K] or [E, B, K] predicted quantiles.
      target: [B, K'] samples of the target, a constant.
      weight: [B] importance weights; None: all are 1.

    Returns:
      [] the sum over quantiles of the mean over samples, its mean over the minibatch, the sum of an ensemble's.
    """
    chex.assert_rank([q, target], [{2, 3}, 2])
    chex.assert_axis_dimension(q, -2, len(target))
    quantile = (jnp.arange(q.shape[-1]) + 0.5) / q.shape[-1]  # [K]
    error = target[..., None, :] - q[..., :, None]  # [..., B, K, samples]
    loss = jnp.abs(quantile[:, None] - (error < 0)) * optax.losses.huber_loss(error)
    return _reduced(loss.mean(axis=-1).sum(axis=-1), target[:, 0], weight)


def _check_shapes(q: Array, target: Array) -> None:
    chex.assert_rank(target, {1, 2})
    chex.assert_rank(q, {target.ndim, target.ndim + 1})
    chex.assert_equal_shape_suffix([q, target], target.ndim)


def _reduced(loss: Array, target: Array, weight: Array | None) -> Array:
    """Returns the mean over the minibatch of losses [..., B] or [..., B, K], summed over the other dimension."""
    loss = mean_output(loss, loss.ndim - target.ndim + 1)
    if weight is not None:
        chex.assert_equal_shape_suffix([loss, weight], 1)
        loss = weight * loss
    return loss.mean(axis=-1).sum()


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


def cross_entropy(logits: Array, probability: Array, weight: Array | None = None) -> Array:
    """Returns -mean over the minibatch of Σ p log q, the loss of a categorical critic (Bellemare et al. 2017, Alg. 1).

    Args:
      logits: [B, K] of the prediction q.
      probability: [B, K] the target p, a constant.
      weight: [B] importance weights; None: all are 1.

    Returns:
      [] the loss.
    """
    chex.assert_rank(logits, 2)
    chex.assert_equal_shape([logits, probability])
    likelihood = (probability * jax.nn.log_softmax(logits)).sum(axis=-1)
    if weight is not None:
        chex.assert_equal_shape([likelihood, weight])
        likelihood = weight * likelihood
    return -likelihood.mean()


def squash(key: Key, mean: Array, log_std: Array) -> tuple[Array, Array]:
    """Samples a = tanh(u), u ~ N(mean, std²), with its log-probability; `squashed` with the noise of a key."""
    chex.assert_equal_shape([mean, log_std])
    return squashed(jax.random.normal(key, mean.shape, mean.dtype), mean, log_std)


def squashed(noise: Array, mean: Array, log_std: Array) -> tuple[Array, Array]:
    """Returns a = tanh(u), u = mean + std ε, with its log-probability (Haarnoja et al. 2018, appendix C).

    log π(a) = log N(u) - Σ log(1 - tanh² u), where the second term is computed as 2 (log 2 - u - softplus(-2u)), which
    does not lose precision for large u.

    Args:
      noise: [..., A], ε.
      mean, log_std: [..., A] of the Gaussian before the tanh.

    Returns:
      [..., A] the action in [-1, 1] and [...] its log-probability, both differentiable in mean and log_std.
    """
    u = mean + jnp.exp(log_std) * noise
    gaussian = -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)
    correction = 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))
    return jnp.tanh(u), (gaussian - correction).sum(axis=-1)
