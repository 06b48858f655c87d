"""Numbers over seeds, with how sure one can be of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A middle and the bounds between which it lies with a confidence of 95%."""

    iqm: float
    low: float
    high: float


def iqm(values: Any, axis: int = -1) -> Any:
    """The interquartile mean (Agarwal et al. 2021): the mean of the middle half."""
    from scipy.stats import trim_mean  # half a second that a training run need not wait for

    return trim_mean(values, 0.25, axis=axis)


def interval(values: Sequence[float]) -> Interval:
    """The interquartile mean over seeds with its percentile bootstrap interval; a single value is its own.

    Args:
      values: [S] a number per seed.
    """
    from scipy.stats import bootstrap

    middle = float(iqm(np.array(values, float)))
    if len(values) == 1 or np.ptp(values) == 0 or not np.isfinite(values).all():
        return Interval(middle, middle, middle)
    resampled = bootstrap((values,), iqm, n_resamples=10_000, method="percentile", rng=0)
    return Interval(middle, *map(float, resampled.confidence_interval))
