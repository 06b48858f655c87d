"""Environments so small that what an agent must learn or store is known without running one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.types import Env, Spec

# The shapes of a run on the command line where a test does not mean others: equal ones are compiled once. A replay has
# room for no more than the steps of its run, so this one is no larger than the shortest run's: one shape for all.
TINY = (
    "--env lqr --episode-length 7 --seeds 2 --hidden 4 --batch-size 4 --replay-capacity 60 --warmup-steps 40 "
    "--eval-episodes 1"
)


def spec(obs_shape=(3,), action_size=2, obs_dtype=np.float32, episode_length=20) -> Spec:
    """A specification with the box [-1, 1]."""
    high = np.ones(action_size, np.float32)
    return Spec("toy", obs_shape, np.dtype(obs_dtype), -high, high, episode_length)


def counting(observe, length=20, terminates=False, reward=lambda time: 1.0) -> Env:
    """Whatever one does: `reward(time)`, by default 1 a step, until the time limit of `length` steps.

    Args:
      observe: steps since the episode began [] -> obs [*O].
      terminates: [] the last step is also a termination.
      reward: of the step taken at a time [].
    """

    def reset(key):
        time = jnp.zeros((), jnp.int32)
        return time, observe(time)

    def step(key, time, action):
        later = time + 1
        return later, observe(later), reward(time), terminates & (later >= length), False

    obs = observe(jnp.zeros((), jnp.int32))
    return env_from_functions(reset, step, spec(obs.shape, 1, obs.dtype, length))


def clock(length=20):
    """Observes the time in the episode, from -1 to 1."""
    return lambda time: jnp.array([2.0 * time / length - 1.0])


def pixels(time):
    """Observes the time as bytes."""
    return jnp.full((3,), time, jnp.uint8)


def wandering(length=7) -> Env:
    """A random walk in the plane pushed by the action; reward 1 a step, a time limit of `length`."""

    def reset(key):
        x = jax.random.normal(key, (2,))
        return x, x

    def step(key, x, action):
        x = 0.9 * x + 0.1 * action + 0.1 * jax.random.normal(key, (2,))
        return x, x, 1.0, False, False

    return env_from_functions(reset, step, spec((2,), 2, episode_length=length))


def slow(*values):
    """Parameters of a test that are more of what the others are."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def slow_but_for(names, *quick):
    """Parameters of a test that cost the time of a training each: all but `quick` are marked slow."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]
