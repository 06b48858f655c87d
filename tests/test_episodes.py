"""episodes.py: whole episodes, summed up and kept, against hand counts and against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Echo, FarWalk, Metronome
from toys import spec

from ddpg_jax import SettingError, evaluate, make_env, rollout
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.episodes import play_episodes

KEY = jax.random.key(0)


def test_evaluation_plays_whole_episodes_and_stops_after_the_longest():
    calls = []

    def policy(obs):
        jax.debug.callback(lambda: calls.append(1))
        return jnp.zeros((16, 1))

    result = jax.jit(lambda key: evaluate(key, make_env(FarWalk()), policy, 16))(KEY)
    jax.effects_barrier()
    lengths = np.asarray(result.lengths)
    assert set(lengths) == {2, 3, 4, 5, 6}
    np.testing.assert_array_equal(result.returns, lengths * (lengths + 1) / 2)  # a step past the end would be NaN
    assert len(calls) == 6


def test_evaluation_truncates_and_counts_decisions():
    result = evaluate(KEY, make_env(Metronome(), episode_length=5, action_repeat=2), lambda obs: obs, 3)
    assert result.lengths.tolist() == [3, 3, 3]
    assert result.returns.tolist() == [5, 5, 5]


def test_evaluation_episodes_start_apart_and_repeat_with_the_key():
    @jax.jit
    def play(key):
        return evaluate(key, make_env("lqr", episode_length=2), lambda obs: obs[:, :1] * 0, 32).returns

    first, again, other = (np.asarray(play(jax.random.key(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len({*first, *other}) == 64


def test_evaluation_gives_each_episode_and_step_its_own_key():
    class Dice(Echo):
        def step_env(self, key, state, action, params):
            u = jax.random.uniform(key)
            return action, state + 1, jnp.where(state == 0, u, -u), False, {}

    returns = evaluate(KEY, make_env(Dice(-1, 1, (1,)), episode_length=2), lambda obs: obs, 32).returns
    assert len({*returns.tolist(), 0.0}) == 33


def uneven():
    """Rewards are drawn at random, and episodes terminate by themselves after 2 to 5 steps."""

    def reset(key):
        left = jax.random.randint(key, (), 2, 6)
        return left, jnp.array([left], jnp.float32)

    def step(key, left, action):
        left = left - 1
        return left, jnp.array([left], jnp.float32), jax.random.normal(key), left <= 0, False

    return env_from_functions(reset, step, spec((1,), 1, episode_length=9))


def first_of(obs):
    return obs[:, :1]


def test_rollout_and_evaluation_play_bitwise_the_same_episodes():
    """Episodes have several lengths and random rewards; float32 sums in the order of the steps are equal."""
    key = jax.random.key(3)
    played = rollout(key, uneven(), first_of, 6)
    summary = jax.jit(lambda key: play_episodes(key, uneven(), first_of, 6, 0.5))(key)
    np.testing.assert_array_equal(np.cumsum(played.rewards, axis=1, dtype=np.float32)[:, -1], summary.returns)
    np.testing.assert_array_equal(played.lengths, summary.lengths)
    discounts = np.float32(0.5) ** np.arange(played.rewards.shape[1], dtype=np.float32)  # exact: powers of two
    discounted = np.cumsum(discounts * played.rewards, axis=1, dtype=np.float32)[:, -1]
    np.testing.assert_array_equal(discounted, summary.discounted_returns)
    assert len(set(played.lengths.tolist())) > 1
    for episode, length in enumerate(played.lengths):
        assert played.state_at(episode, 0).obs == summary.first_obs[episode]
        assert played.state_at(episode, length).obs == summary.last_obs[episode]


def test_a_trajectory_repeats_the_last_state_after_the_end():
    played = rollout(jax.random.key(3), uneven(), first_of, 6)
    assert played.states.inner.shape == (6, played.lengths.max() + 1)
    assert (played.states.inner[:, 0] == played.lengths).all()
    assert (played.states.inner[:, -1] == 0).all()
    after = np.arange(played.rewards.shape[1]) >= played.lengths[:, None]
    assert after.any()
    assert (played.rewards[after] == 0).all()


def at_precision_seen():
    """An environment and a policy that note the precision of matrix products at which they are traced."""
    seen = []

    def note(value):
        seen.append(jax.config.jax_default_matmul_precision)
        return value

    env = uneven()
    noting = env._replace(reset=lambda key: note(env.reset(key)), step=lambda *args: note(env.step(*args)))
    return noting, lambda obs: note(first_of(obs)), seen


@pytest.mark.parametrize("play", [evaluate, rollout])
def test_matrix_products_are_those_of_training(play):
    """In float32 unless another precision is asked for, whatever that of JAX is."""
    for options, wanted in (({}, "float32"), ({"matmul_precision": "bfloat16"}, "bfloat16")):
        env, policy, seen = at_precision_seen()
        with jax.default_matmul_precision("tensorfloat32"):
            play(KEY, env, policy, 1, **options)
        assert set(seen) == {wanted}
    with pytest.raises(SettingError, match="matmul_precision must be one of float32, tensorfloat32, bfloat16, not 'x'"):
        play(KEY, uneven(), first_of, 1, matmul_precision="x")


@pytest.mark.parametrize("episodes", [0, 2.0, True])
def test_the_number_of_episodes_is_checked(episodes):
    for play in (evaluate, rollout):
        with pytest.raises(SettingError, match="episodes must be a whole number of at least 1"):
            play(KEY, uneven(), first_of, episodes)
