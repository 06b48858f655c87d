"""Silver et al. 2014, "Deterministic policy gradient algorithms": Theorems 1 and 2 where everything is exact.

The linear-quadratic problem under u = -K x, or u ~ N(-K x, σ² I), from first states with E x x' = spread² / 3.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from toys import spec

from ddpg_jax import DDPGConfig, ddpg
from ddpg_jax.core.types import Network, Transition
from ddpg_jax.envs import lqr

DISCOUNT = 0.9
PROBLEM = lqr.Problem(
    a=np.array([[0.9, 0.3, 0.0], [-0.2, 1.0, 0.1], [0.0, 0.4, 0.8]]),
    b=np.array([[0.0, 0.5], [0.3, 0.0], [0.2, -0.4]]),
    q=np.array([[1.0, 0.2, 0.0], [0.2, 0.5, 0.0], [0.0, 0.0, 0.3]]),
    r=np.array([[0.5, 0.1], [0.1, 0.8]]),
    noise=0.3,
)
SIZE, INPUTS = PROBLEM.b.shape
GAIN = 0.6 * lqr.solve(PROBLEM, DISCOUNT)[0] + np.array([[0.1, 0.0, -0.1], [0.0, 0.2, 0.0]])
FIRST = PROBLEM.spread**2 / 3 * np.eye(SIZE)


def objective(gain, sigma=0.0):
    """J(K): the expected discounted return, summed over time from the second moment of the state."""
    a, b, q, r, noise = PROBLEM[:5]
    closed, moment, total = a - b @ gain, FIRST, 0.0
    for clock in range(400):
        total -= DISCOUNT**clock * (np.trace((q + gain.T @ r @ gain) @ moment) + sigma**2 * np.trace(r))
        moment = closed @ moment @ closed.T + noise**2 * np.eye(SIZE) + sigma**2 * b @ b.T
    return total


def differences(gain, sigma=0.0, step=1e-5):
    """∇_K J by central differences [m, n]."""
    gradient = np.zeros_like(gain)
    for index in np.ndindex(gain.shape):
        nudge = np.zeros_like(gain)
        nudge[index] = step
        gradient[index] = (objective(gain + nudge, sigma) - objective(gain - nudge, sigma)) / (2 * step)
    return gradient


def visited(gain, sigma=0.0):
    """States [2n, n] whose second moment is that of (1 - γ) Σ γ^t p(x_t), from D = E x₀x₀' + γ (M D M' + W)."""
    a, b, noise = PROBLEM.a, PROBLEM.b, PROBLEM.noise
    noises = (noise**2 * np.eye(SIZE) + sigma**2 * b @ b.T) / (1 - DISCOUNT)
    closed = np.sqrt(DISCOUNT) * (a - b @ gain)
    moment = (1 - DISCOUNT) * scipy.linalg.solve_discrete_lyapunov(closed, FIRST + DISCOUNT * noises)
    root = np.sqrt(SIZE) * np.linalg.cholesky(moment).T
    return np.concatenate([root, -root])


def deterministic_gradient(gain):
    """E ∇_K μ(x) ∇_u Q(x, u) at u = μ(x) (equation 9) [m, n]."""
    x = visited(gain)
    h, _ = lqr.policy_value(PROBLEM, gain, DISCOUNT)
    slope = -2 * (np.hstack([x, -x @ gain.T]) @ h)[:, SIZE:]
    return -slope.T @ x / len(x) / (1 - DISCOUNT)


def stochastic_gradient(gain, sigma):
    """E ∇_K log π(u|x) Q(x, u) (equation 2) [m, n], over u by Gauss-Hermite with 3 nodes: exact up to degree 5.

    The policy's own noise changes Q by a constant alone, and a constant drops out.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    x = visited(gain, sigma)
    h, c = lqr.policy_value(PROBLEM, gain, DISCOUNT)
    total = np.zeros_like(gain)
    for chosen in itertools.product(range(3), repeat=INPUTS):
        noise, weight = nodes[list(chosen)], np.prod(weights[list(chosen)] / weights.sum())
        both = np.hstack([x, -x @ gain.T + sigma * noise])
        q = -np.einsum("bi,ij,bj->b", both, h, both) - c
        total += weight * np.mean(q[:, None, None] * -noise[:, None] * x[:, None] / sigma, axis=0)
    return total / (1 - DISCOUNT)


def relative(found, exact):
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def test_theorem_1_against_finite_differences():
    assert relative(deterministic_gradient(GAIN), differences(GAIN)) < 1e-6
    best = lqr.solve(PROBLEM, DISCOUNT)[0]
    assert np.linalg.norm(deterministic_gradient(best)) < 1e-9 * np.linalg.norm(deterministic_gradient(GAIN))


def linear_actor():
    def apply(params, obs):
        return -obs @ params["gain"].T

    return Network(lambda key, obs: {"gain": jnp.asarray(GAIN)}, apply, lambda *x: (apply(*x), {}))


def exact_critic():
    h, c = lqr.policy_value(PROBLEM, GAIN, DISCOUNT)

    def apply(params, obs, action):
        both = jnp.concatenate([obs, action], axis=-1)
        return -jnp.einsum("bi,ij,bj->b", both, h, both) - c

    return Network(lambda key, obs, action: {}, apply, lambda *x: (apply(*x), {}))


def test_ddpg_descends_the_exact_gradient_when_its_critic_is_exact():
    """The gradient is read off Adam's first moment after one update, (1 - 0.9) times it."""
    with jax.enable_x64(True):
        agent = ddpg(DDPGConfig(), spec((SIZE,), INPUTS, np.float64), linear_actor(), exact_critic())
        obs = jnp.asarray(visited(GAIN))
        blank, zeros = jnp.zeros(len(obs)), jnp.zeros((len(obs), INPUTS))
        batch = Transition(obs, zeros, blank, blank, blank, obs)
        learner, _ = agent.update(agent.init(jax.random.key(0)), batch, jax.random.key(1), jnp.int32(0))
        descended = np.asarray(learner.opt_state["actor"][0].mu["gain"]) / 0.1
    assert relative(-descended / (1 - DISCOUNT), differences(GAIN)) < 1e-6


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_the_stochastic_gradient_against_finite_differences(sigma):
    assert relative(stochastic_gradient(GAIN, sigma), differences(GAIN, sigma)) < 1e-6


def test_theorem_2_the_stochastic_gradient_tends_to_the_deterministic_one():
    """On this problem the error is σ² times a constant: the noise enters through the states that are visited."""
    sigmas = np.geomspace(0.01, 1, 5)
    limit = deterministic_gradient(GAIN)
    errors = [relative(stochastic_gradient(GAIN, sigma), limit) for sigma in sigmas]
    slope = np.polyfit(np.log(sigmas), np.log(errors), 1)[0]
    assert errors[0] < 1e-3
    assert slope == pytest.approx(2, abs=1e-3)
