"""diagnose.py: numbers about a learner, against cases whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import spec

from ddpg_jax import COPDACConfig, DDPGConfig, SACConfig, copdac_gq, ddpg, sac
from ddpg_jax.core.diagnostics import diagnose
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.episodes import evaluate, play_episodes

LENGTH, DISCOUNT = 5, 0.9
FOREVER = 1 / (1 - DISCOUNT)  # the value of one reward of 1 after the other


def ones(dies_at=99):
    """A reward of 1 on each of five steps; terminates after step `dies_at`. What is observed is the time."""

    def step(key, time, action):
        return time + 1, (time + 1)[None], 1.0, time + 1 >= dies_at, False

    return env_from_functions(lambda key: (jnp.zeros(()), jnp.zeros(1)), step, spec((1,), 1, episode_length=LENGTH))


def knowing(env, value=FOREVER, scale=1.0):
    """An agent that acts at the bound from the second step on, and believes in a constant value."""
    agent = ddpg(DDPGConfig(hidden=(4,), discount=DISCOUNT, noise_final=0.5, noise_steps=100), env.spec)
    act = lambda learner, obs: jnp.where(obs > 0, 1.0, 0.5)  # noqa: E731
    return agent._replace(act=act, value=lambda learner, obs, action: jnp.full(len(obs), value * scale))


def diagnosed(env, agent, **more):
    learner = agent.init(jax.random.key(0))
    played = play_episodes(jax.random.key(1), env, lambda obs: agent.act(learner, obs), 3, agent.discount)
    return diagnose(agent, learner, played, more.pop("vector_step", 0), more.pop("num_envs", 1), **more)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_a_critic_that_knows_is_not_found_to_overestimate(scale):
    """Beyond the time limit rewards go on: both sides are 1 / (1 - γ), in the environment's own rewards."""
    found = diagnosed(ones(), knowing(ones(), scale=scale)._replace(reward_scale=scale))
    assert found["eval_q"] == pytest.approx(FOREVER)
    assert found["eval_discounted"] == pytest.approx(FOREVER)


def test_nothing_lies_beyond_a_death():
    found = diagnosed(ones(dies_at=3), knowing(ones(dies_at=3)))
    assert found["eval_discounted"] == pytest.approx(1 + 0.9 + 0.81)
    assert found["eval_q"] == pytest.approx(FOREVER)


def test_saturated_decisions_are_counted_while_the_episode_lasts():
    assert diagnosed(ones(), knowing(ones()))["eval_saturation"] == pytest.approx(4 / 5)
    assert diagnosed(ones(dies_at=2), knowing(ones(dies_at=2)))["eval_saturation"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("clock", "sigma"), [(0, 0.1), (50, 0.075), (1000, 0.05)])
def test_the_scale_of_the_noise_is_that_of_the_clock(clock, sigma):
    assert diagnosed(ones(), knowing(ones()), vector_step=clock)["noise_scale"] == pytest.approx(sigma)


def test_norms_against_numpy():
    """Adam is shown gradients of known norms, 3 and 4 in turn; their root mean square is in its moments."""
    env = ones()
    agent = knowing(env)
    learner = agent.init(jax.random.key(0))
    params, adam = learner.params["critic"], optax.adam(1e-3)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))

    def step(update_step, state):
        grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, (3.0 + update_step % 2) / np.sqrt(size)), params)
        return adam.update(grads, state)[1]

    state = jax.lax.fori_loop(0, 4000, step, adam.init(params))
    learner = learner.replace(opt_state=learner.opt_state | {"critic": state})
    played = play_episodes(jax.random.key(1), env, lambda obs: agent.act(learner, obs), 1)
    found = diagnose(agent, learner, played, 0, 1)
    assert found["critic/grad_norm"] == pytest.approx(np.sqrt((9 + 16) / 2), rel=1e-3)
    flat = np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(learner.params["actor"])])
    assert found["actor/param_norm"] == pytest.approx(np.linalg.norm(flat), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "config", "present"),
    [
        (sac, SACConfig(hidden=(4,)), "temperature/grad_norm"),
        (copdac_gq, COPDACConfig(hidden=(4,)), "correction/grad_norm"),
        (ddpg, DDPGConfig(hidden=(4,), optimizer="sgd"), "noise_scale"),
    ],
)
def test_every_kind_of_agent_can_be_diagnosed(make, config, present):
    found = diagnosed(ones(), make(config, ones().spec))
    assert present in found
    assert all(np.isfinite(value) and np.shape(value) == () for value in found.values())
    assert ("critic/grad_norm" in found) == (config.optimizer == "adam")
    assert ("noise_scale" in found) == (make is not sac)


def test_evaluate_plays_the_same_episodes():
    env = ones(dies_at=3)
    result = evaluate(jax.random.key(1), env, lambda obs: jnp.zeros((len(obs), 1)), 2)
    assert result.returns.tolist() == [3, 3]
    assert result.lengths.tolist() == [3, 3]
