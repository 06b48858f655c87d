"""SAC: losses against float64 NumPy, their gradients against its finite differences, and the squashed density."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.stats
from test_ddpg import TOY, random_batch

from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.core.losses import squash

PLAIN = {"norm": "none", "noise": "gaussian"}  # as in the paper
CONFIG = SACConfig(discount=0.9, hidden=(7, 5), temperature=0.3, target_entropy=-0.5, **PLAIN)
KEY = jax.random.key(5)
NAMES = ("critic", "actor", "temperature")


@pytest.fixture(scope="module")
def learner():
    start = jax.jit(sac(CONFIG, TOY).init)(KEY)
    return start.replace(target_params=jax.tree.map(lambda leaf: 0.7 * leaf + 0.05, start.target_params))


@pytest.fixture(scope="module")
def roles():
    table, module = {}, importlib.import_module("ddpg_jax.core.agent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "actor_critic", lambda roles: table.update(roles) or (None, None))
        sac(CONFIG, TOY)
    return table


def dense(network, i):
    layer = network["params"][f"Dense_{i}"]["Dense_0"]
    return np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64)


def distribution(actor, obs):
    """Mean and standard deviation [B, A] before the tanh."""
    x = reference.flat(obs)
    for i in range(2):
        kernel, bias = dense(actor, i)
        x = np.maximum(x @ kernel + bias, 0)
    mean, log_std = (x @ kernel + bias for kernel, bias in (dense(actor, 2), dense(actor, 3)))
    return mean, np.exp(-1.5 + 3.5 * np.tanh(log_std))


def draw(actor, obs, key):
    """Action and log-probability from the textbook: log N(u) - Σ log(1 - tanh² u)."""
    mean, std = distribution(actor, obs)
    u = mean + std * np.asarray(jax.random.normal(key, mean.shape), np.float64)
    return np.tanh(u), (scipy.stats.norm.logpdf(u, mean, std) - np.log1p(-(np.tanh(u) ** 2))).sum(1)


def smaller_q(critics, obs, action):
    members = [reference.layers(jax.tree.map(lambda leaf, i=i: leaf[i], critics)) for i in range(2)]
    return np.minimum(*(reference.q_value(network, obs, action) for network in members)), members


def numpy_loss(name, params, learner, batch, key):
    alpha = np.exp(float(learner.params["temperature"]["params"]))
    if name == "critic":
        action, log_prob = draw(learner.params["actor"], batch.next_obs, key)
        value = smaller_q(learner.target_params["critic"], batch.next_obs, action)[0] - alpha * log_prob
        y = batch.reward + CONFIG.discount * batch.discount * value
        members = smaller_q(params, batch.obs, batch.action)[1]
        return sum(np.mean((y - reference.q_value(network, batch.obs, batch.action)) ** 2) for network in members)
    if name == "actor":
        action, log_prob = draw(params, batch.obs, key)
        return np.mean(alpha * log_prob - smaller_q(learner.params["critic"], batch.obs, action)[0])
    _, log_prob = draw(learner.params["actor"], batch.obs, key)
    return -np.exp(float(params["params"])) * np.mean(log_prob + CONFIG.target_entropy * TOY.action_size)


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_the_paper(name, roles, learner):
    for seed in range(3):
        batch, key = random_batch(seed), jax.random.fold_in(KEY, seed)
        expected = numpy_loss(name, learner.params[name], learner, batch, key)
        loss, _ = roles[name].loss(learner.params[name], learner, batch, key)
        np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_against_finite_differences_of_the_numpy_losses(name, roles, learner):
    rng, batch, params = np.random.default_rng(0), random_batch(0), learner.params[name]
    grads = jax.grad(lambda params: roles[name].loss(params, learner, batch, KEY)[0])(params)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    for _ in range(3):
        along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), exact)

        def at(step, along=along):
            return numpy_loss(name, jax.tree.map(lambda p, d: p + step * d, exact, along), learner, batch, KEY)

        slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float(np.sum(np.asarray(g) * d)), grads, along)))
        np.testing.assert_allclose(slope, (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-3, atol=1e-4)


def test_the_squashed_density_is_exact_far_out():
    """Where 1 - tanh² u is 0 in float32 the log-probability still is right, and so is its gradient finite."""
    mean, log_std = jnp.array([[12.0], [-30.0], [0.0]]), jnp.zeros((3, 1))
    u = np.asarray(mean + jax.random.normal(KEY, mean.shape), np.float64)
    expected = scipy.stats.norm.logpdf(u, mean, 1) - np.log(4) + 2 * np.logaddexp(u, -u)
    action, log_prob = squash(KEY, mean, log_std)
    np.testing.assert_allclose(log_prob, expected[:, 0], rtol=1e-5)
    assert np.abs(action).max() <= 1
    assert np.isfinite(jax.grad(lambda mean: squash(KEY, mean, log_std)[1].sum())(mean)).all()


def test_the_temperature_seeks_the_target_entropy(learner):
    """It falls while the policy is more random than asked, and rises in the other case."""
    batch = random_batch(0)
    for target, sign in ((-50.0, -1), (50.0, 1)):
        agent = sac(CONFIG.replace(target_entropy=target), TOY)
        after, _ = agent.update(learner, batch, KEY, jnp.zeros((), int))
        moved = after.params["temperature"]["params"] - learner.params["temperature"]["params"]
        assert np.sign(moved) == sign


def test_evaluation_is_deterministic_and_exploration_is_not(learner):
    agent, obs = sac(CONFIG, TOY), random_batch(0).obs
    one, _ = agent.explorer.act(learner, (), obs, None, 0, jax.random.key(1))
    other, _ = agent.explorer.act(learner, (), obs, None, 0, jax.random.key(2))
    assert not np.allclose(one, other)
    middle = draw(learner.params["actor"], obs, KEY)[0]
    assert agent.act(learner, obs).shape == middle.shape
    assert "actor" not in learner.target_params


def test_pink_exploration_is_the_same_policy_correlated_in_time(learner):
    """a = tanh(mean + std ε), where only the ε of pink noise remember the steps before."""
    agent, obs = sac(CONFIG.replace(noise="pink"), TOY), jnp.repeat(random_batch(0).obs[:1], 4096, axis=0)
    mean, std = distribution(learner.params["actor"], obs)
    carry, noises = agent.explorer.init(len(obs)), []
    for step in range(3):
        first = jnp.full(len(obs), step == 0)
        action, carry = agent.explorer.act(learner, carry, obs, first, step, jax.random.fold_in(KEY, step))
        noise = (np.arctanh(np.asarray(action, np.float64)) - mean) / std
        noises.append(noise[:, 0])
        assert scipy.stats.kstest(noises[-1], "norm").pvalue > 0.01
    assert np.corrcoef(noises[1], noises[2])[0, 1] == pytest.approx(np.exp(-(0.25 ** np.arange(6))).mean(), abs=0.03)
