"""noise.py: what is added, where it is cut, and from which randomness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ddpg_jax.noise import gaussian, uniform

N, A = 20_000, 2
OBS, FIRST, KEY = jnp.zeros((N, 3)), jnp.zeros(N, bool), jax.random.key(0)


def centre(value):
    """A policy that always plays `value`."""
    return lambda learner, obs: jnp.full((len(obs), A), value)


def test_uniform_covers_the_box_evenly():
    """Every dimension of every environment is drawn by itself from U(-1, 1)."""
    explorer = uniform(A)
    action, carry = explorer.act(None, explorer.init(N), OBS, FIRST, KEY)
    assert action.shape == (N, A)
    assert carry == ()
    for dimension in np.asarray(action).T:
        assert scipy.stats.kstest(dimension, "uniform", (-1, 2)).pvalue > 0.01
    assert abs(np.corrcoef(action.T)[0, 1]) < 0.03


@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_gaussian_noise_has_its_scale(mean):
    """N(μ(s), σ) in every dimension, drawn apart from the others."""
    explorer = gaussian(centre(mean), 0.1)
    action, _ = explorer.act(None, explorer.init(N), OBS, FIRST, KEY)
    assert action.shape == (N, A)
    for dimension in np.asarray(action).T:
        assert scipy.stats.kstest(dimension, "norm", (mean, 0.1)).pvalue > 0.01
    assert abs(np.corrcoef(action.T)[0, 1]) < 0.03


def test_gaussian_noise_stays_in_the_box():
    """What lies outside is cut to the border, not drawn again."""
    action, _ = gaussian(centre(0.9), 0.5).act(None, (), OBS, FIRST, KEY)
    assert np.abs(action).max() == 1.0
    outside = scipy.stats.norm.sf((1 - 0.9) / 0.5)
    np.testing.assert_allclose((action == 1).mean(), outside, atol=0.01)


def test_no_scale_is_the_policy_itself():
    """σ may be traced, so 0 is a value like any other."""
    act = jax.jit(lambda scale: gaussian(centre(0.3), scale).act(None, (), OBS[:4], FIRST[:4], KEY)[0])
    np.testing.assert_array_equal(act(0.0), np.full((4, A), 0.3, np.float32))
    assert (act(0.1) != 0.3).all()


def test_noise_is_a_function_of_its_key():
    """The same key gives the same action, another key another."""
    act = gaussian(centre(0.0), 0.1).act
    first, again, other = (act(None, (), OBS, FIRST, key)[0] for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99
