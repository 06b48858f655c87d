"""Of the score function and of the deterministic gradient, against the dimension of the action, on one decision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

SIGMA, SPREAD = 0.5, 0.5


def variances(size):
    """Of one sample of ∇_θ E r at θ, r(s, a) = -|a - a* - s|² with s ~ N(0, τ²/m I) and |θ - a*| = 1: the trace of the
    covariance over the squared norm of the mean, for the score function with V(s) as its baseline and for ∇_a Q(s, θ).
    """
    rng, samples = np.random.default_rng(size), 2_000_000 // size
    gap = np.full(size, size**-0.5) - SPREAD * size**-0.5 * rng.standard_normal((samples, size))  # θ - a* - s
    noise = rng.standard_normal((samples, size))

    def reward(action):
        return -jnp.sum(jnp.square(action), axis=-1)

    value = reward(gap) - SIGMA**2 * size
    score = noise / SIGMA * (reward(gap + SIGMA * noise) - value)[:, None]
    return [np.var(g, axis=0).sum() / 4 for g in (np.asarray(score), np.asarray(jax.vmap(jax.grad(reward))(gap)))]


@pytest.mark.parametrize("size", [1, 2, 32])
def test_variance_against_the_dimension_of_the_action(size):
    """From the moments of |ε|²: (m + 2)(1 + τ²) - 1 + σ² m (m + 4) / 2 and τ², for τ = σ = 0.5. Seen: within 1%."""
    stochastic, deterministic = variances(size)
    exact = (size + 2) * (1 + SPREAD**2) - 1 + SIGMA**2 * size * (size + 4) / 2
    np.testing.assert_allclose(stochastic, exact, rtol=0.02)
    np.testing.assert_allclose(deterministic, SPREAD**2, rtol=0.02)
