"""normalization.py: statistics against NumPy, raw storage, and who sees which of the two."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec, wandering

from ddpg_jax import DDPGConfig, LoopConfig, ddpg, sac, train
from ddpg_jax.algorithms.sac import SACConfig
from ddpg_jax.core import diagnose, play_episodes
from ddpg_jax.core.normalization import Statistics, init_statistics, normalize, update_statistics
from ddpg_jax.core.replay import stored_transitions
from ddpg_jax.core.types import Transition

KEY = jax.random.key(0)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [5, 1, 20], [4] * 30])
def test_statistics_are_those_of_all_the_data(sizes):
    """Mean and variance of the whole stream, whatever batches it came in, far from 0 too."""
    data = np.random.default_rng(0).normal([100.0, -3.0], [0.1, 20.0], (sum(sizes), 2))
    seen = init_statistics(spec((2,)))
    for batch in np.split(data, np.cumsum(sizes)[:-1]):
        seen = update_statistics(seen, jnp.asarray(batch, jnp.float32))
    assert seen.count == len(data)
    np.testing.assert_allclose(seen.mean, data.mean(0), rtol=1e-5)
    np.testing.assert_allclose(seen.variance, data.var(0), rtol=2e-3)


def test_normalized_observations_are_within_ten_deviations():
    """(x - mean) / deviation, in float32 whatever the dtype."""
    seen = Statistics(jnp.float32(10), jnp.array([1.0, 2.0]), jnp.array([4.0, 0.25]))
    np.testing.assert_allclose(normalize(seen, jnp.array([[3, 3], [-100, 2]])), [[1, 2], [-10, 0]], rtol=1e-5)


CONFIG = DDPGConfig(hidden=(8,), normalize_obs=True)


@pytest.fixture(scope="module")
def finished():
    """A short run on a random walk, and its statistics."""
    env = wandering()
    loop = LoopConfig(num_envs=4, batch_size=8, replay_capacity=400, warmup_steps=40, pool_size=4)
    agent = ddpg(CONFIG, env.spec)
    state, _ = jax.jit(lambda key: train(key, env, agent, loop, steps=320, chunks=3))(KEY)
    return agent, state


def test_a_run_normalizes_by_every_observation_once_and_stores_them_raw(finished):
    """80 vector steps fit the replay: its raw content is what the statistics are of, warm-up included."""
    _, state = finished
    stored = np.asarray(stored_transitions(wandering().spec, 4, 400, state.memory).obs[: 80 * 4])
    assert state.learner.normalizer.count == 320
    np.testing.assert_allclose(state.learner.normalizer.mean, stored.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.learner.normalizer.variance, stored.var(0), rtol=1e-3)


def test_acting_valuing_and_updating_see_normalized_observations(finished):
    """As the bare agent does when it is given them; an update leaves the statistics alone."""
    agent, state = finished
    learner, bare = state.learner, ddpg(CONFIG.replace(normalize_obs=False), spec((2,), 2))
    raw = 5 + jax.random.normal(KEY, (6, 2))
    scaled, action, flat = normalize(learner.normalizer, raw), jnp.full((6, 2), 0.2), jnp.zeros(6)
    np.testing.assert_array_equal(agent.act(learner, raw), bare.act(learner, scaled))
    np.testing.assert_array_equal(agent.value(learner, raw, action), bare.value(learner, scaled, action))
    first = jnp.zeros(6, bool)
    explored = (
        agent.explorer.act(learner, (), raw, first, 0, KEY)[0],
        bare.explorer.act(learner, (), scaled, first, 0, KEY)[0],
    )
    np.testing.assert_array_equal(*explored)

    def batch(obs):
        return Transition(obs, action, flat, flat + 1, flat > 0, obs + 0)

    after, _ = agent.update(learner, batch(raw), KEY, 0)
    expected, _ = bare.update(learner, batch(scaled), KEY, 0)
    chex.assert_trees_all_close(after, expected)


def test_every_algorithm_can_normalize():
    """SAC explores without a noise setting, and still through the statistics."""
    agent = sac(SACConfig(hidden=(8,), normalize_obs=True, noise="gaussian"), spec((2,), 2))
    learner = jax.jit(agent.init)(KEY)
    shifted = learner.replace(normalizer=Statistics(jnp.float32(9), jnp.full(2, 50.0), jnp.ones(2)))
    obs = jnp.ones((3, 2))
    one, other = (agent.explorer.act(held, (), obs, None, 0, KEY)[0] for held in (learner, shifted))
    assert not np.allclose(one, other)


@pytest.mark.parametrize("noise", ["gaussian", "tanh-gaussian", "ou", "pink", "epsilon-uniform"])
def test_the_scale_of_the_noise_is_still_known(noise):
    """As one number, for one environment or many, and for each environment where it differs."""
    config = CONFIG.replace(noise=noise, noise_scale=0.2, noise_final=0.5, noise_steps=40)
    for settings in (config, config.replace(noise_scale_max=0.6)):
        agent, bare = (ddpg(settings.replace(normalize_obs=on), spec((2,), 2)) for on in (True, False))
        for vector_step, num_envs in ((0, 4), (5, 4), (1000, 2)):
            scale = agent.explorer.scale(vector_step, num_envs)
            np.testing.assert_array_equal(scale, bare.explorer.scale(vector_step, num_envs))


@pytest.mark.parametrize("normalize_obs", [False, True])
def test_the_scale_of_the_noise_is_among_the_metrics(normalize_obs):
    env = wandering()
    agent = ddpg(CONFIG.replace(normalize_obs=normalize_obs, noise_scale=0.2, noise_scale_max=0.6), env.spec)
    learner = jax.jit(agent.init)(KEY)
    summary = play_episodes(KEY, env, lambda obs: agent.act(learner, obs), 1)
    assert diagnose(agent, learner, summary, 0, num_envs=3)["noise_scale"] == pytest.approx(0.4)
