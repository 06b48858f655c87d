"""runs/statistics.py against hand-computed numbers and known distributions."""

import numpy as np

from ddpg_jax.runs.statistics import interval, iqm, probability_highest


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end():
    assert iqm(np.array([-1000.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 900.0])) == 2.5


def test_an_interval_covers_the_mean_as_often_as_it_claims():
    """Of 200 samples of 20 standard normal numbers; a bootstrap of so few covers a little less than 95%."""
    rng = np.random.default_rng(0)
    intervals = [interval(rng.normal(size=20)) for _ in range(200)]
    assert all(one.low < one.iqm < one.high for one in intervals)
    assert 0.88 < np.mean([one.low < 0 < one.high for one in intervals]) <= 0.99


def test_a_value_that_is_not_finite_does_not_make_the_interval_a_point():
    """The middle half leaves one of six out, and the interval does not."""
    assert interval([-np.inf, 1.0, 2.0, 3.0, 4.0, 5.0]) == (2.5, -np.inf, 5.0)


def test_a_single_value_and_equal_ones_are_their_own_interval():
    for values in ([3.0], [3.0, 3.0, 3.0]):
        assert interval(values) == (3.0, 3.0, 3.0)


def test_the_probability_of_being_the_highest_is_that_of_draws():
    """Beside a million of them; and all together are certain."""
    means, errors = np.array([1.0, 0.5, -3.0, 1.2]), np.array([0.4, 1.0, 2.0, 0.1])
    draws = np.random.default_rng(0).normal(means, errors, size=(1_000_000, 4)).argmax(axis=1)
    found = [probability_highest(means, errors, index) for index in range(4)]
    np.testing.assert_allclose(found, np.bincount(draws) / len(draws), atol=3e-3)
    assert abs(sum(found) - 1) < 1e-4


def test_means_without_errors_are_certain():
    assert abs(probability_highest([1.0, 2.0], [0.0, 0.0], 1) - 1) < 1e-9
    assert probability_highest([1.0, 2.0], [0.0, 0.0], 0) == 0
    assert abs(probability_highest([5.0, 5.0], [0.0, 0.0], 0) - 0.5) < 1e-6
