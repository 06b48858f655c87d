"""The continuous bandit, its policy gradients and one run (Silver et al. 2014, section 5.1), which bandit.py sweeps."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array, Key

TARGET = 4.0


class Setting(NamedTuple):
    """The swept settings: the learning rate of θ, the initial standard deviation, and the ratio of y's rate to θ's."""

    learning_rate: Array
    sigma: Array
    y_ratio: Array


class Policy(NamedTuple):
    """The policy N(mean, exp(y) I), or a gradient with respect to its parameters."""

    mean: Array  # [m]
    y: Array  # []


Estimator = Callable[[Policy, Array, Array], Policy]  # (policy, action [B, m], reward [B]) -> gradient


def curvature(key: Key, size: int) -> Array:
    """Returns C [m, m], a random rotation of eigenvalues 0.1 and 1."""
    rotation, _ = jnp.linalg.qr(jax.random.normal(key, (size, size)))
    return (rotation * jnp.where(jnp.arange(size) % 2, 1.0, 0.1)) @ rotation.T


def cost(c: Array, action: Array) -> Array:
    """Returns (a - a*)' C (a - a*): [..., m] -> [...]."""
    return jnp.sum((action - TARGET) @ c * (action - TARGET), axis=-1)


def regress(features: Array, target: Array) -> tuple[Array, Array]:
    """Solves least squares with a bias by the normal equations: [B, k], [B] -> w [k] and the bias []."""
    rows = jnp.concatenate([features, jnp.ones((len(features), 1))], axis=1)
    w = jax.scipy.linalg.solve(rows.T @ rows, rows.T @ target, assume_a="pos")
    return w[:-1], w[-1]


def copdac(policy: Policy, action: Array, reward: Array) -> Policy:
    """Returns ∇_θ μ ∇_θ μ' w (Silver et al. 2014, section 4.3), with ∇_θ μ = I, and no gradient for y."""
    w, _ = regress(action - policy.mean, reward)
    return Policy(w, jnp.zeros_like(policy.y))


def sac(policy: Policy, action: Array, reward: Array, *, baseline: bool) -> Policy:
    """Returns the batch mean of ∇log π(a) Q(a), where Q is fitted to the features ∇log π(a) and a bias.

    Args:
      baseline: leave the bias out of Q.
    """
    z = (action - policy.mean) * jnp.exp(-0.5 * policy.y)
    score = jnp.concatenate([z * jnp.exp(-0.5 * policy.y), 0.5 * jnp.sum(z**2 - 1, axis=1, keepdims=True)], axis=1)
    w, bias = regress(score, reward)
    gradient = score.T @ (score @ w + (0.0 if baseline else bias)) / len(action)
    return Policy(gradient[:-1], gradient[-1])


def run(estimator: Estimator, c: Array, batches: int, setting: Setting, key: Key) -> Array:
    """Runs from θ = 0 and returns the cost of the mean action [batches] after each batch of 2m steps."""
    size = len(c)

    def step(policy, key):
        noise = jax.random.normal(key, (2 * size, size))
        action = policy.mean + jnp.exp(0.5 * policy.y) * noise
        gradient = estimator(policy, action, -cost(c, action))
        mean = policy.mean + setting.learning_rate * gradient.mean
        policy = Policy(mean, policy.y + setting.learning_rate * setting.y_ratio * gradient.y)
        return policy, cost(c, policy.mean)

    first = Policy(jnp.zeros(size), 2 * jnp.log(setting.sigma))
    return jax.lax.scan(step, first, jax.random.split(key, batches))[1]
