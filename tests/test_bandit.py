"""benchmarks/bandit_rules.py: its update rules against NumPy and against the gradient that they estimate."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bandit_rules import TARGET, Policy, Setting, copdac, cost, curvature, regress, run, sac

SIZE, SIGMA = 4, 0.7


@pytest.fixture
def batch():
    """C, θ, 2m actions and their rewards, in float64."""
    with jax.enable_x64(True):
        c, rng = curvature(jax.random.key(0), SIZE), np.random.default_rng(0)
        mean = rng.standard_normal(SIZE)
        action = mean + SIGMA * rng.standard_normal((2 * SIZE, SIZE))
        yield c, Policy(jnp.asarray(mean), jnp.asarray(2 * np.log(SIGMA))), jnp.asarray(action), -cost(c, action)


def test_the_cost_is_a_quadratic_with_eigenvalues_one_and_a_tenth(batch):
    c, _, action, reward = batch
    np.testing.assert_allclose(np.linalg.eigvalsh(c), [0.1, 0.1, 1, 1])
    np.testing.assert_allclose(-reward, np.einsum("bi,ij,bj->b", action - TARGET, c, action - TARGET))


def test_copdac_by_hand(batch):
    _, policy, action, reward = batch
    rows = np.hstack([action - policy.mean, np.ones((2 * SIZE, 1))])
    gradient = copdac(policy, action, reward)
    np.testing.assert_allclose(gradient.mean, np.linalg.lstsq(rows, reward, rcond=None)[0][:-1])
    assert gradient.y == 0


def test_sac_by_hand(batch):
    """∇log π by automatic differentiation of the density; with the bias, ∇log π Q averages to ∇log π r."""
    _, policy, action, reward = batch

    def log_density(policy, action):
        return jax.scipy.stats.norm.logpdf(action, policy.mean, jnp.exp(policy.y / 2)).sum()

    score = jax.vmap(jax.grad(log_density), (None, 0))(policy, action)
    score = np.column_stack([score.mean, score.y])
    w = np.linalg.lstsq(np.column_stack([score, np.ones(2 * SIZE)]), reward, rcond=None)[0]
    exact = {False: score.T @ reward, True: score.T @ score @ w[:-1]}
    for baseline, gradient in exact.items():
        found = sac(policy, action, reward, baseline=baseline)
        np.testing.assert_allclose([*found.mean, found.y], gradient / (2 * SIZE), rtol=1e-8)


def test_the_critic_of_copdac_has_the_gradient_of_the_reward(batch):
    """Over actions in opposite pairs around θ, where the curvature is orthogonal to the features."""
    c, policy, action, _ = batch
    action = jnp.concatenate([action, 2 * policy.mean - action])
    w, bias = regress(action - policy.mean, -cost(c, action))
    np.testing.assert_allclose(w, -2 * c @ (policy.mean - TARGET), rtol=1e-8)
    np.testing.assert_allclose(bias, jnp.mean(-cost(c, action)), rtol=1e-8)  # the features have mean zero


@pytest.mark.parametrize("algorithm", [copdac, partial(sac, baseline=False), partial(sac, baseline=True)])
def test_a_run_lowers_the_cost(algorithm):
    setting = Setting(*map(jnp.float32, (0.03, 1.0, 0.01)))
    c = curvature(jax.random.key(0), SIZE)
    costs = jax.jit(partial(run, algorithm, c, 200))(setting, jax.random.key(1))
    assert costs.shape == (200,)
    assert costs[-1] < 0.1 * cost(c, jnp.zeros(SIZE))
