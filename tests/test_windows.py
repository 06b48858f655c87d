"""replay.py: returns over several steps, images stored once, and the pairs of on-policy data, against a plain list."""

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
    """STEPS vector steps of N environments as NumPy: every observation has a number of its own.

    Episodes last LIMIT steps and are cut there, unless one terminates before.
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
def sample(image, capacity, n_step, batch_size, taken, discount):
    """A minibatch after `taken` steps of the stream."""
    memory, steps = uniform_replay(toy(image), N, capacity, batch_size, n_step, discount), transition(ROWS)

    def add(clock, ring):
        return memory.add(ring, clock, jax.tree.map(lambda leaf: leaf[clock], steps))

    return memory.sample(jax.lax.fori_loop(0, taken, add, memory.init()), taken, KEY)


def window(start, env, end, n_step):
    """The return from a step on, written down: up to n steps, none after an end of the episode or after `end`."""
    reward, t = 0.0, start
    for i in range(n_step):
        t = start + i
        reward += GAMMA**i * ROWS[t]["reward"][env]
        if ROWS[t]["truncated"][env] or ROWS[t]["discount"][env] == 0 or t + 1 == end:
            break
    first, last = ROWS[start], ROWS[t]
    discount = GAMMA ** (t - start) * last["discount"][env]
    return first["action"][env], reward, discount, last["truncated"][env], last["next_obs"][env]


@pytest.mark.parametrize("taken", [2, 5, 13, 29, 40])
@pytest.mark.parametrize("n_step", [1, 2, 5])
@pytest.mark.parametrize("image", [False, True], ids=["rows", "images"])
def test_windows_are_those_of_the_list(image, n_step, taken):
    """Every stored step is drawn, none else, each with its own return; capacity is 10 vector steps."""
    batch = sample(image, 10 * N, n_step, 1024, taken, GAMMA)
    end = taken - image
    kept = range(max(0, taken - 10 - image), end)
    begun = {ROWS[t]["obs"][env]: (t, env) for t in kept for env in range(N)}
    assert set(np.asarray(batch.obs)[:, 0].tolist()) == set(begun)
    for i in range(300):
        t, env = begun[int(batch.obs[i, 0])]
        action, reward, discount, truncated, next_obs = window(t, env, end, n_step)
        np.testing.assert_allclose(batch.action[i], action, rtol=1e-6)
        np.testing.assert_allclose(batch.reward[i], reward, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount[i], discount, rtol=1e-6)
        assert batch.truncated[i] == truncated
        if discount or not image:
            assert batch.next_obs[i, 0] == next_obs


def test_images_are_stored_once():
    """The ring of a thousand images is a thousand images and a few last ones."""
    memory = uniform_replay(toy(True), 1, 1000, 1)
    ring = jax.eval_shape(memory.init)
    assert ring.obs.shape[0] == 1001
    assert ring.next_obs.shape[0] == 1001 // LIMIT + 2


def test_no_discount_keeps_the_first_reward_alone():
    """γ = 0 is a value like any other: 0⁰ is 1."""
    batch = sample(False, 30, 3, 64, 20, 0.0)
    assert np.isfinite(batch.reward).all()
    rewards = {np.float32(row["reward"][env]) for row in ROWS for env in range(N)}
    assert set(np.asarray(batch.reward)) <= rewards


@pytest.mark.parametrize("taken", [2, 3, 12])
def test_on_policy_data_are_the_step_before_the_newest_and_the_action_after_it(taken):
    """(s, a, r, s', a') of all N environments, in their order."""
    memory, ring = latest(toy(False), N, 1, 1), None
    ring = memory.init()
    for clock in range(taken):
        ring = memory.add(ring, clock, jax.tree.map(lambda leaf, t=clock: leaf[t], transition(ROWS)))
    batch = memory.sample(ring, jnp.int32(taken), KEY)
    before, newest = transition(ROWS[taken - 2 : taken - 1]), transition(ROWS[taken - 1 : taken])
    for name in ("obs", "action", "reward", "discount", "truncated", "next_obs"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(before, name)[0])
    np.testing.assert_array_equal(batch.next_action, newest.action[0])


def test_on_policy_data_have_one_step():
    """Longer returns would need the actions in between."""
    with pytest.raises(SettingError, match="n_step must be 1 for an on-policy method, not 3"):
        latest(toy(False), N, 1, 1, 3)
