"""DDPG: one update against NumPy (reference.py), gradients against finite differences, and what stays constant."""

import importlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from toys import spec

from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.core.types import Transition

B = 16
TOY = spec(obs_shape=(2, 2), action_size=2)
CONFIG = DDPGConfig(actor_lr=0.01, critic_lr=0.02, discount=0.9, tau=0.1, hidden=(7, 5), norm="none")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def learner():
    """A learner at its start."""
    return jax.jit(ddpg(CONFIG, TOY).init)(KEY)


@pytest.fixture(scope="module")
def update():
    """`agent.update` of any settings, compiled once: (config, learner, batch, update_step)."""
    return jax.jit(lambda config, *args: ddpg(config, TOY).update(*args[:2], KEY, args[2]))


@pytest.fixture(scope="module")
def roles():
    """The table of roles inside the agent."""
    table, module = {}, importlib.import_module("ddpg_jax.core.agent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "actor_critic", lambda roles: table.update(roles) or (None, None))
        ddpg(CONFIG, TOY)
    return table


def random_batch(seed):
    """A minibatch of which a third has terminated, and another third truncated, which changes nothing."""
    rng = np.random.default_rng(seed)
    discount = (rng.random(B) > 1 / 3).astype(np.float32)
    obs, next_obs = rng.normal(size=(2, B, *TOY.obs_shape)).astype(np.float32)
    action = rng.uniform(-1, 1, (B, TOY.action_size)).astype(np.float32)
    truncated = (discount == 1) & (rng.random(B) > 0.5)
    return Transition(obs, action, rng.normal(size=B).astype(np.float32), discount, truncated, next_obs)


def as_layers(tree):
    return {name: reference.layers(tree[name]) for name in ("actor", "critic")}


def moments_of(learner):
    adam = {name: learner.opt_state[name][0] for name in ("actor", "critic")}
    return {name: (int(s.count), reference.layers(s.mu), reference.layers(s.nu)) for name, s in adam.items()}


def assert_close(actual, expected):
    chex.assert_trees_all_close(actual, expected, rtol=2e-4, atol=1e-6)


def test_two_updates_are_those_of_the_paper(learner, update):
    """Parameters, targets, Adam's moments and losses after one and two updates, for three minibatches each."""
    # Targets of their own, as they are later in a run.
    start = learner.replace(target_params=jax.tree.map(lambda leaf: 0.7 * leaf + 0.05, learner.target_params))
    for seed in range(3):
        learner = start
        params, targets, moments = as_layers(learner.params), as_layers(learner.target_params), moments_of(learner)
        for update_step in range(2):
            batch = random_batch(10 * seed + update_step)
            learner, metrics = update(CONFIG, learner, batch, update_step)
            params, targets, moments, losses = reference.update(params, targets, moments, batch, CONFIG)
            assert_close(as_layers(learner.params), params)
            assert_close(as_layers(learner.target_params), targets)
            for name, (count, first, second) in moments_of(learner).items():
                assert count == moments[name][0]
                assert_close(first, moments[name][1])
                root = [reference.zip_map(np.sqrt, network) for network in (second, moments[name][2])]
                assert_close(*root)  # in the gradient's unit; its square would drown in the tolerance
                assert_close(metrics[f"{name}/loss"][0], losses[name])


def test_the_reference_is_the_gradient_of_its_own_loss(learner):
    """Central differences of the NumPy losses along random directions, in float64."""
    rng, batch = np.random.default_rng(0), random_batch(0)
    params, targets = as_layers(learner.params), as_layers(learner.target_params)
    losses = {
        "critic": lambda critic: reference.critic_gradient(critic, targets, batch, CONFIG.discount),
        "actor": lambda actor: reference.actor_gradient(actor, params["critic"], batch),
    }
    for name, loss in losses.items():
        _, grads = loss(params[name])
        for _ in range(3):
            along = reference.zip_map(lambda p: rng.normal(size=p.shape), params[name])
            ahead, behind = (reference.zip_map(lambda p, d, e=e: p + e * d, params[name], along) for e in (1e-6, -1e-6))
            slope = sum(np.sum(g * d) for layer in zip(grads, along, strict=True) for g, d in zip(*layer, strict=True))
            np.testing.assert_allclose((loss(ahead)[0] - loss(behind)[0]) / 2e-6, slope, rtol=1e-5)


@pytest.mark.parametrize("name", ["critic", "actor"])
def test_gradients_against_finite_differences(name, roles, learner):
    """The slope of each loss along random directions, in float64, everything else held still."""
    with jax.enable_x64(True):
        learner = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), learner)
        batch = random_batch(0)

        @jax.jit
        def slopes(params, direction):
            def loss(params):
                return roles[name].loss(params, learner, batch, KEY)[0]

            ahead, behind = (jax.tree.map(lambda p, d, e=e: p + e * d, params, direction) for e in (1e-6, -1e-6))
            inner = jax.tree.map(jnp.vdot, jax.grad(loss)(params), direction)
            return (loss(ahead) - loss(behind)) / 2e-6, sum(jax.tree.leaves(inner))

        rng = np.random.default_rng(0)
        for _ in range(5):
            direction = jax.tree.map(lambda p: rng.normal(size=p.shape), learner.params[name])
            measured, exact = slopes(learner.params[name], direction)
            assert abs(exact) > 1e-3
            np.testing.assert_allclose(measured, exact, rtol=1e-5)


@pytest.mark.parametrize(("still", "moving"), [("actor", "critic"), ("critic", "actor")])
def test_a_role_with_no_step_size_stands_still(still, moving, learner, update):
    """Nothing but its own optimizer moves a role: the other one's loss and the targets leave it as it is."""
    config = CONFIG.replace(**{f"{still}_lr": 0.0, "tau": 0.0})
    after, _ = update(config, learner, random_batch(0), 0)
    assert same(after.params[still], learner.params[still])
    assert same(after.target_params, learner.target_params)
    assert not same(after.params[moving], learner.params[moving])


def same(one, other):
    return all((a == b).all() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_agent_acts_and_values_with_its_online_networks(learner):
    """`act` is μ and `value` is Q, from `params`, for any leading dimensions."""
    agent, batch = ddpg(CONFIG, TOY), random_batch(0)
    learner = learner.replace(target_params=None)
    networks = as_layers(learner.params)
    action = np.tanh(reference.forward(networks["actor"], reference.flat(batch.obs))[0])
    q = reference.q_value(networks["critic"], batch.obs, batch.action)
    assert_close(agent.act(learner, batch.obs), action)
    assert_close(agent.value(learner, batch.obs, batch.action), q)
    assert agent.act(learner, batch.obs[0]).shape == (2,)
    assert agent.value(learner, batch.obs[0], batch.action[0]).shape == ()


def test_explores_around_its_policy(learner):
    """The explorer adds noise of `noise_scale` to μ."""
    agent, obs = ddpg(CONFIG.replace(noise_scale=0.01), TOY), jnp.zeros((5000, *TOY.obs_shape))
    action, _ = agent.explorer.act(learner, agent.explorer.init(5000), obs, jnp.zeros(5000, bool), 0, KEY)
    np.testing.assert_allclose((action - agent.act(learner, obs)).std(0), 0.01, rtol=0.05)
