"""runs/statistics.py against hand-computed numbers and known distributions."""

import numpy as np

from ddpg_jax.runs.statistics import interval, iqm


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end():
    assert iqm(np.array([-1000.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 900.0])) == 2.5


def test_an_interval_covers_the_mean_as_often_as_it_claims():
    """Of 200 samples of 20 standard normal numbers; a bootstrap of so few covers a little less than 95%."""
    rng = np.random.default_rng(0)
    intervals = [interval(rng.normal(size=20)) for _ in range(200)]
    assert all(one.low < one.iqm < one.high for one in intervals)
    assert 0.88 < np.mean([one.low < 0 < one.high for one in intervals]) <= 0.99


def test_a_single_value_and_equal_ones_are_their_own_interval():
    for values in ([3.0], [3.0, 3.0, 3.0]):
        assert interval(values) == (3.0, 3.0, 3.0)
