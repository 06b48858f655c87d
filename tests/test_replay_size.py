"""A replay that grows with the steps of its run: the same as one that was large from the start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec

from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.types import Transition
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.replay_size import resized

SPECS = {"numbers": spec((3,), 2), "images": spec((4, 4, 3), 1, np.uint8, 5)._replace(image=True)}


def steps_of(kind, num_envs, count):
    """Vector steps with numbers of their own, some of them truncated."""
    rng, one = np.random.default_rng(0), SPECS[kind]
    for step in range(count):
        obs, following = (rng.integers(1, 250, (num_envs, *one.obs_shape)).astype(one.obs_dtype) for _ in range(2))
        action, reward = rng.uniform(-1, 1, (num_envs, one.action_size)), rng.uniform(1, 2, num_envs)
        ended = np.full(num_envs, step % 5 == 4)
        numbers = (jnp.asarray(x, jnp.float32) for x in (action, reward, np.ones(num_envs)))
        yield Transition(jnp.asarray(obs), *numbers, jnp.asarray(ended), jnp.asarray(following))


def filled(kind, num_envs, rows, count):
    memory = uniform_replay(SPECS[kind], num_envs, rows * num_envs, 4)
    data = memory.init()
    for step, transitions in enumerate(steps_of(kind, num_envs, count)):
        data = memory.add(data, step, transitions)
    return data


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_ring_that_has_grown_is_one_that_was_large(kind, num_envs):
    """And one that was cut behind its last step is one that was small."""
    small, large = (filled(kind, num_envs, rows, 19) for rows in (20, 700))
    shapes = [[leaf.shape for leaf in jax.tree.leaves(data)] for data in (small, large)]
    assert all(few[1:] == many[1:] for few, many in zip(*shapes, strict=True))
    assert any(few[0] < many[0] for few, many in zip(*shapes, strict=True))

    def with_rows_of(data, like):
        return jax.tree.map(lambda leaf, other: resized(leaf[None], len(other), Layout())[0], data, like)

    jax.tree.map(np.testing.assert_array_equal, with_rows_of(small, large), large)
    jax.tree.map(np.testing.assert_array_equal, with_rows_of(large, small), small)


def test_every_device_of_an_agent_has_a_ring_of_its_own():
    """Whose rows are together: [0, 1 | 2, 3] of two devices becomes [0, 1, -, - | 2, 3, -, -]."""
    leaf, layout = jnp.arange(1, 5).reshape(1, 4, 1), Layout(data_shards=2)
    grown = resized(leaf, 8, layout)
    np.testing.assert_array_equal(grown.ravel(), [1, 2, 0, 0, 3, 4, 0, 0])
    np.testing.assert_array_equal(resized(grown, 4, layout), leaf)
