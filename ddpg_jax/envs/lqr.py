"""A discrete-time linear-quadratic problem, whose optimal policy and Q are known exactly.

x' = A x + B u + w with w ~ N(0, σ²), reward -(x' Q x + u' R u). It never terminates; a time limit truncates.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from ddpg_jax.core.environment import action_bounds, env_from_functions
from ddpg_jax.core.types import Env, Spec

OPTIONS = ("problem", "episode_length", "action_repeat")


class Problem(NamedTuple):
    """Matrices for n states and m inputs, noise and initial states."""

    a: np.ndarray = np.array([[1.0, 0.1], [0.0, 1.0]])  # [n, n]: a double integrator, 0.1 s a step
    b: np.ndarray = np.array([[0.0], [0.1]])  # [n, m]
    q: np.ndarray = np.diag([1.0, 0.1])  # [n, n]
    r: np.ndarray = np.array([[0.1]])  # [m, m]
    noise: float = 0.0  # σ of w
    spread: float = 1.0  # x starts in U(-spread, spread), independently in every dimension
    bound: float = 8.0  # |u| <= bound; wide enough that the optimum does not reach it


def make(
    name: str = "lqr", *, problem: Problem = Problem(), episode_length: int | None = None, action_repeat: int = 1
) -> Env:
    """Returns the problem as an environment, whose observation is the state x [n].

    Args:
      name: for messages and file names.
      problem: the matrices, the noise and the bound of the actions.
      episode_length: the time limit in steps; by default 50.
      action_repeat: steps per action.
    """
    a, b, q, r = (jnp.asarray(matrix, jnp.float32) for matrix in problem[:4])
    size, inputs = b.shape
    low, high = action_bounds(-problem.bound, problem.bound, (inputs,), name)

    def reset(key):
        x = jax.random.uniform(key, (size,), minval=-problem.spread, maxval=problem.spread)
        return x, x

    def step(key, x, u):
        reward = -(x @ q @ x + u @ r @ u)
        x = a @ x + b @ u + problem.noise * jax.random.normal(key, (size,))
        return x, x, reward, False, False

    return env_from_functions(
        reset, step, Spec(name, (size,), np.dtype(np.float32), low, high, episode_length or 50, action_repeat)
    )


def names() -> list[str]:
    """Returns the only id of this module."""
    return ["lqr"]


def solve(problem: Problem, discount: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the optimum without bounds and time limit, for rewards discounted by γ.

    It is u = -K x and Q(x, u) = -[x; u]' H [x; u] - c, from the algebraic Riccati equation with √γ A and √γ B.

    Returns:
      K [m, n], H [n + m, n + m] and c.
    """
    a, b, q, r = problem[:4]
    root = np.sqrt(discount)
    h, c = look_ahead(problem, scipy.linalg.solve_discrete_are(root * a, root * b, q, r), discount)
    size = a.shape[0]
    return np.linalg.solve(h[size:, size:], h[size:, :size]), h, c


def policy_value(problem: Problem, gain: np.ndarray, discount: float) -> tuple[np.ndarray, float]:
    """Returns the exact Q of the policy u = -K x, without bounds and time limit, in the form of `solve`.

    V(x) = -x' P x - c with P = Q + K' R K + γ (A - B K)' P (A - B K), a discrete Lyapunov equation.

    Args:
      problem: the matrices and the noise.
      gain: K [m, n].
      discount: γ.

    Returns:
      H [n + m, n + m] and c.

    Raises:
      ValueError: the return diverges, γ ρ(A - B K)² >= 1.
    """
    a, b, q, r = problem[:4]
    closed = np.sqrt(discount) * (a - b @ gain)
    if np.abs(np.linalg.eigvals(closed)).max() >= 1:
        raise ValueError("The discounted return of this gain diverges.")
    return look_ahead(problem, scipy.linalg.solve_discrete_lyapunov(closed.T, q + gain.T @ r @ gain), discount)


def look_ahead(problem: Problem, p: np.ndarray, discount: float) -> tuple[np.ndarray, float]:
    """Returns H [n + m, n + m] and c of Q = r + γ E V(x'), where V(x) = -x' P x - c."""
    a, b, q, r, noise = problem[:5]
    ab = np.hstack([a, b])
    h = scipy.linalg.block_diag(q, r) + discount * ab.T @ p @ ab
    # Without noise c is 0, also of rewards that are not discounted.
    return h, float(discount / (1 - discount) * noise**2 * np.trace(p)) if noise else 0.0
