"""core/replay.py: n-step returns, images that are stored once, on-policy transitions, against a plain list."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec

from ddpg_jax import SettingError
from ddpg_jax.core.replay import latest, uniform_replay
from ddpg_jax.core.types import Transition

KEY, GAMMA, LIMIT, N, STEPS = jax.random.key(0), 0.9, 6, 3, 40


def stream():
    """STEPS vector steps of N environments as NumPy; every observation is a different number.

    Episodes are truncated after LIMIT steps, unless they terminate before.
    """
    rng = np.random.default_rng(0)
    age, number, obs = np.zeros(N, int), N, np.arange(N)
    rows = []
    for _ in range(STEPS):
        final = number + np.arange(N)
        age, number = age + 1, number + 2 * N
        terminated = rng.random(N) < 0.15
        truncated = (age == LIMIT) & ~terminated
        ended = terminated | truncated
        step = {"obs": obs, "next_obs": final, "truncated": truncated, "discount": 1.0 - terminated}
        rows.append(step | {"action": rng.uniform(-1, 1, (N, 2)), "reward": rng.normal(size=N)})
        obs, age = np.where(ended, final + N, final), np.where(ended, 0, age)
    return rows


ROWS = stream()


def transition(rows):
    """The rows [T] as a batched `Transition`."""
    fields = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    dtypes = {"obs": np.int32, "next_obs": np.int32, "truncated": bool}
    fields = {name: jnp.asarray(field, dtypes.get(name, np.float32)) for name, field in fields.items()}
    return Transition(**fields | {name: fields[name][..., None] for name in ("obs", "next_obs")})


def toy(image):
    return spec((1,), 2, np.int32, episode_length=LIMIT)._replace(image=image)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def sample(image, capacity, n_step, batch_size, num_steps, discount):
    """A minibatch after `num_steps` steps of the stream."""
    memory, steps = uniform_replay(toy(image), N, capacity, batch_size, n_step, discount), transition(ROWS)

    def add(vector_step, ring):
        return memory.add(ring, vector_step, jax.tree.map(lambda leaf: leaf[vector_step], steps))

    return memory.sample(jax.lax.fori_loop(0, num_steps, add, memory.init()), num_steps, KEY)


def window(start, env, end, n_step):
    """The n-step return from a step on, by a loop: no step after the end of the episode or after `end`."""
    reward, t = 0.0, start
    for i in range(n_step):
        t = start + i
        reward += GAMMA**i * ROWS[t]["reward"][env]
        if ROWS[t]["truncated"][env] or ROWS[t]["discount"][env] == 0 or t + 1 == end:
            break
    first, last = ROWS[start], ROWS[t]
    discount = GAMMA ** (t - start) * last["discount"][env]
    return first["action"][env], reward, discount, last["truncated"][env], last["next_obs"][env]


@pytest.mark.parametrize("num_steps", [2, 5, 13, 29, 40])
@pytest.mark.parametrize("n_step", [1, 2, 5])
@pytest.mark.parametrize("image", [False, True], ids=["rows", "images"])
def test_n_step_transitions_are_those_of_the_list(image, n_step, num_steps):
    """Every stored step is sampled, and no other, each with its own return; the capacity is 10 vector steps."""
    batch = sample(image, 10 * N, n_step, 1024, num_steps, GAMMA)
    end = num_steps - image
    stored = range(max(0, num_steps - 10 - image), end)
    starts = {ROWS[t]["obs"][env]: (t, env) for t in stored for env in range(N)}
    assert set(np.asarray(batch.obs)[:, 0].tolist()) == set(starts)
    for i in range(300):
        t, env = starts[int(batch.obs[i, 0])]
        action, reward, discount, truncated, next_obs = window(t, env, end, n_step)
        np.testing.assert_allclose(batch.action[i], action, rtol=1e-6)
        np.testing.assert_allclose(batch.reward[i], reward, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount[i], discount, rtol=1e-6)
        assert batch.truncated[i] == truncated
        if discount or not image:
            assert batch.next_obs[i, 0] == next_obs


def test_images_are_stored_once():
    """A replay of a thousand images holds a thousand, and the last ones of episodes."""
    image = spec((8, 8, 2), 2, np.uint8, episode_length=LIMIT)._replace(image=True)
    steps, last = jax.eval_shape(uniform_replay(image, 1, 1000, 1).init)
    for ring, rows in ((steps, 1001), (last, 1001 // LIMIT + 2)):
        assert rows <= ring["uint8"].size / (8 * 8 * 2) < rows + 8  # of 128 numbers each, in groups of 8


def test_a_discount_of_zero_keeps_the_first_reward_alone():
    """γ = 0 is a value like any other: 0⁰ is 1."""
    batch = sample(False, 30, 3, 64, 20, 0.0)
    assert np.isfinite(batch.reward).all()
    rewards = {np.float32(row["reward"][env]) for row in ROWS for env in range(N)}
    assert set(np.asarray(batch.reward)) <= rewards


@pytest.mark.parametrize("num_steps", [2, 3, 12])
def test_on_policy_transitions_are_the_step_before_the_newest_with_the_next_action(num_steps):
    """(s, a, r, s', a') of all N environments, in their order."""
    memory = latest(toy(False), N, 1, 1)
    ring = memory.init()
    for vector_step in range(num_steps):
        ring = memory.add(ring, vector_step, jax.tree.map(lambda leaf, t=vector_step: leaf[t], transition(ROWS)))
    batch = memory.sample(ring, jnp.int32(num_steps), KEY)
    previous, newest = transition(ROWS[num_steps - 2 : num_steps - 1]), transition(ROWS[num_steps - 1 : num_steps])
    for name in ("obs", "action", "reward", "discount", "truncated", "next_obs"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(previous, name)[0])
    np.testing.assert_array_equal(batch.next_action, newest.action[0])


def test_on_policy_transitions_have_one_step():
    """n-step returns would need the actions in between."""
    with pytest.raises(SettingError, match="n_step must be 1 for an on-policy method, not 3"):
        latest(toy(False), N, 1, 1, 3)
