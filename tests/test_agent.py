"""preset.py: each setting that all algorithms share, against the arithmetic that it stands for."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toys import slow_but_for, spec

from ddpg_jax import DDPGConfig, SACConfig, TD3Config, ddpg, sac, td3
from ddpg_jax.core.agent import target_or_online
from ddpg_jax.core.learning import LearningConfig, TargetConfig, optimizer, target_update
from ddpg_jax.core.types import Learner, Transition

KEY = jax.random.key(0)
PARAMS = {"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.array([12.0])}
GRADS = {"kernel": jnp.array([[30.0, -40.0]]), "bias": jnp.array([120.0])}  # of norm 130


def step(config, lr, decay=None):
    """The change of PARAMS in one step down GRADS."""
    descent = optimizer(config, lr, decay)
    return descent.update(GRADS, descent.init(PARAMS), PARAMS)[0]


def test_gradients_are_clipped_by_their_global_norm():
    """All leaves shrink alike, and only where the norm is above the bound."""
    clipped = step(LearningConfig(optimizer="sgd", clip_norm=13.0), 1.0)
    chex.assert_trees_all_close(clipped, jax.tree.map(lambda grad: -grad / 10, GRADS))
    untouched = step(LearningConfig(optimizer="sgd", clip_norm=131.0), 1.0)
    chex.assert_trees_all_close(untouched, jax.tree.map(jnp.negative, GRADS))


def test_decay_enters_the_gradient_of_kernels_alone():
    """As an L2 penalty of decay / 2 times the square does; a bias is not pulled."""
    change = step(LearningConfig(optimizer="sgd"), 0.1, 0.01)
    np.testing.assert_allclose(change["kernel"], -0.1 * (GRADS["kernel"] + 0.01 * PARAMS["kernel"]), rtol=1e-6)
    np.testing.assert_allclose(change["bias"], -0.1 * GRADS["bias"], rtol=1e-6)


def test_adam_is_the_default_and_sgd_the_plain_gradient():
    np.testing.assert_allclose(step(LearningConfig(), 0.1)["bias"], -0.1, rtol=1e-5)
    np.testing.assert_allclose(step(LearningConfig(optimizer="sgd"), 0.1)["bias"], -12.0, rtol=1e-6)


def test_targets_follow_as_they_are_told():
    """By tau of the way each time, or all of it every so many updates."""
    ends = jnp.float32(10.0), jnp.float32(0.0)
    assert target_update(TargetConfig(tau=0.1))(*ends, 7) == 1.0
    copying = target_update(TargetConfig(target_update="periodic", target_period=4))
    assert [float(copying(*ends, jnp.int32(updates))) for updates in (3, 4, 5, 8)] == [0, 10, 0, 10]


def test_a_role_without_a_target_stands_in_for_it():
    learner = Learner({"actor": 1, "critic": 2}, {"critic": 3}, {})
    assert (target_or_online(learner, "actor"), target_or_online(learner, "critic")) == (1, 3)


TOY = spec((3,), 2)
AGENTS = {"ddpg": (DDPGConfig, ddpg), "td3": (TD3Config, td3), "sac": (SACConfig, sac)}


@functools.partial(jax.jit, static_argnums=0)  # settings that are floats are traced, so that they share a program
def update(name, config, batch):
    agent = AGENTS[name][1](config, TOY)
    return agent.update(agent.init(KEY), batch, KEY, jnp.int32(1))


def updated(name, batch, **changes):
    return update(name, AGENTS[name][0](hidden=(8,), **changes), batch)


def batch(scale=1.0):
    keys = jax.random.split(KEY, 4)
    obs, next_obs = jax.random.normal(keys[0], (2, 8, 3))
    action, reward = jax.random.uniform(keys[1], (8, 2), minval=-1.0), scale * jax.random.normal(keys[2], (8,))
    return Transition(obs, action, reward, jnp.ones(8), jnp.zeros(8, bool), next_obs)


@pytest.mark.parametrize("name", slow_but_for(AGENTS, "ddpg", "sac"))
def test_scaling_the_reward_is_scaling_the_data(name):
    """And it is not there by default."""
    scaled, plain = updated(name, batch(), reward_scale=3.0)[0], updated(name, batch(3.0))[0]
    chex.assert_trees_all_close(scaled, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", slow_but_for(AGENTS, "ddpg", "sac"))
def test_every_setting_reaches_every_algorithm(name):
    """Each changes what an update leaves behind."""
    changes = [
        {"optimizer": "sgd"},
        {"clip_norm": 1e-3, "optimizer": "sgd"},
        {"weight_decay": 10.0},
        {"target_update": "periodic", "target_period": 1},
        {"tau": 0.5},
        {"discount": 0.5},
        {"activation": "tanh"},
    ]
    results = [updated(name, batch(), **change)[0] for change in [{}, *changes]]
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves((r.params, r.target_params))]) for r in results]
    for i in range(1, len(flat)):
        assert flat[i].shape == flat[0].shape
        assert not any(np.array_equal(flat[i], flat[j]) for j in range(i)), changes[i - 1]


def test_without_a_target_actor_the_actor_itself_is_bootstrapped_through():
    """The lecture form: no slow copy of μ, and y = r + γ Q'(s', μ(s'))."""
    config = DDPGConfig(hidden=(8,), target_actor=False, critic_lr=0.0, actor_lr=0.0)
    agent, data = ddpg(config, TOY), batch()
    learner = agent.init(KEY)
    assert list(learner.target_params) == ["critic"]
    learner = learner.replace(params=jax.tree.map(lambda leaf: 1.5 * leaf, learner.params))
    slow_critic = learner.replace(params=learner.params | {"critic": learner.target_params["critic"]})
    y = data.reward + 0.99 * agent.value(slow_critic, data.next_obs, agent.act(learner, data.next_obs))
    expected = jnp.mean((y - agent.value(learner, data.obs, data.action)) ** 2)
    np.testing.assert_allclose(agent.update(learner, data, KEY, 0)[1]["critic/loss"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", slow_but_for(AGENTS, "ddpg", "sac"))
def test_an_update_is_normalized_by_its_minibatch_and_acting_is_not(name):
    """Running statistics, online or in the targets, change how the agent acts and nothing that it learns."""
    config, make = AGENTS[name]
    agent, data = make(config(hidden=(8,), norm="batch"), TOY), batch()
    learner = agent.init(KEY)

    def shift(path, leaf):
        return leaf + 5.0 * any(getattr(key, "key", None) == "batch_stats" for key in path)

    shifted = jax.tree_util.tree_map_with_path(shift, learner)
    update = jax.jit(agent.update)
    one, other = (update(held, data, KEY, jnp.int32(1))[1] for held in (learner, shifted))
    chex.assert_trees_all_close(one, other)
    assert not np.allclose(agent.act(learner, data.obs), agent.act(shifted, data.obs))


def test_optimizers_are_optax_ones():
    """So that a user can read their state."""
    assert isinstance(optimizer(LearningConfig(), 0.1).init(PARAMS)[0], optax.ScaleByAdamState)
