"""Statistics over seeds and their uncertainty: interquartile means, bootstrap intervals, probability of improvement."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """An interquartile mean with its 95% confidence interval."""

    iqm: float
    low: float
    high: float


def iqm(values: Any, axis: int = -1) -> Any:
    """Returns the interquartile mean: the mean of the middle half (Agarwal et al. 2021)."""
    from scipy.stats import trim_mean  # half a second that a training run need not wait for

    return trim_mean(values, 0.25, axis=axis)


def interval(values: Sequence[float]) -> Interval:
    """Returns the interquartile mean over seeds with its percentile bootstrap interval; that of one value is the value.

    With a value that is not finite, which the middle half may leave out, it is from the least to the largest value.

    Args:
      values: [S] a number per seed.
    """
    from scipy.stats import bootstrap

    middle = float(iqm(np.array(values, float)))
    if not np.isfinite(values).all():
        return Interval(middle, float(np.min(values)), float(np.max(values)))
    if len(values) == 1 or np.ptp(values) == 0:
        return Interval(middle, middle, middle)
    resampled = bootstrap((values,), iqm, n_resamples=10_000, method="percentile", rng=0)
    return Interval(middle, *map(float, resampled.confidence_interval))


def iqm_bounds(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns pointwise 95% bootstrap bounds of the interquartile mean over seeds; whole curves are resampled.

    Args:
      values: [T, S] finite; a single seed is its own bounds.

    Returns:
      low [T], high [T].
    """
    return stratified([values], iqm)


def stratified(samples: Sequence[Any], statistic: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns 95% percentile bootstrap bounds of a statistic of several samples, each resampled by itself.

    So every task and algorithm keeps its number of seeds (Agarwal et al. 2021, section 4.1).

    Args:
      samples: arrays [..., S_i], whose leading axes are drawn together.
      statistic: (*samples, axis) -> [...], vectorized.

    Returns:
      low [...], high [...], of 2,000 draws.
    """
    from scipy.stats import bootstrap

    # scipy wants two of each; a value and its double have the statistics of the value
    drawn = [np.repeat(sample, 2 if sample.shape[-1] == 1 else 1, axis=-1) for sample in map(np.asarray, samples)]
    batch = max(1, 4_000_000 // max(sample.size * sample.shape[-1] for sample in drawn))
    options: dict[str, Any] = {"n_resamples": 2_000, "batch": batch, "axis": -1, "vectorized": True, "rng": 0}
    return bootstrap(drawn, statistic, method="percentile", **options).confidence_interval


def probability_highest(means: Any, errors: Any, index: int) -> float:
    """Returns the probability that one of several true means is the highest, by the normal approximation.

    Each true mean is taken as normal around the measured one, independently: the integral of the density of the one
    times the distribution functions of all others, P(i) = ∫ φ(z) Π_{j≠i} Φ((m_i + e_i z - m_j) / e_j) dz.

    Args:
      means, errors: [S] measured means, finite, and their standard errors; one that is 0 makes its mean certain.
      index: which of them.
    """
    from scipy.special import ndtr

    means, errors = np.asarray(means, float), np.asarray(errors, float)
    errors = np.maximum(errors, 1e-12 * max(1.0, np.abs(means).max()))
    z, width = np.linspace(-8.0, 8.0, 1_601, retstep=True)
    others = np.arange(len(means)) != index
    x = means[index] + errors[index] * z
    below = ndtr((x[:, None] - means[others]) / errors[others]).prod(axis=1)
    return float((np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * below).sum() * width)


def superiority(x: Any, y: Any, axis: int = -1) -> Any:
    """Returns the share of pairs in which `x` is above `y`, a tie counting half: Mann and Whitney's U / (n m).

    Args:
      x, y: [..., n] and [..., m], if `axis` is the last one.
    """
    from scipy.stats import mannwhitneyu

    x, y = np.asarray(x), np.asarray(y)
    pairs = x.shape[axis] * y.shape[axis]
    return mannwhitneyu(x, y, axis=axis, method="asymptotic").statistic / pairs  # of which only U is looked at
