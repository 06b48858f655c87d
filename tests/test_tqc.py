"""TQC: losses against float64 NumPy, which pools, sorts and drops by itself, and their gradients against its slopes."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from test_ddpg import TOY, random_batch
from test_sac import draw

from ddpg_jax import SettingError
from ddpg_jax.algorithms.tqc import TQCConfig, tqc, truncated

E, K, DROPPED = 3, 4, 1
CONFIG = TQCConfig(discount=0.9, hidden=(7, 5), norm="none", temperature=0.3, critics=E, quantiles=K, dropped=DROPPED)
KEY = jax.random.key(5)
NAMES = ("critic", "actor")


@pytest.fixture(scope="module")
def losses():
    """Each role's loss with its gradient, compiled once."""
    table, module = {}, importlib.import_module("ddpg_jax.core.agent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "actor_critic", lambda roles: table.update(roles) or (None, None))
        tqc(CONFIG, TOY)
    return {name: jax.jit(jax.value_and_grad(table[name].loss, has_aux=True)) for name in NAMES}


@pytest.fixture(scope="module")
def learner():
    """With critics that differ much, so that the largest quantiles are not spread evenly over them."""
    start = jax.jit(tqc(CONFIG, TOY).init)(KEY)
    scale = jnp.arange(1.0, E + 1)
    critics = jax.tree.map(lambda leaf: leaf * scale.reshape(E, *(1,) * (leaf.ndim - 1)), start.params["critic"])
    return start.replace(target_params={"critic": critics})


def quantiles(critics, obs, action):
    """[E, B, K] in float64."""
    members = [reference.layers(jax.tree.map(lambda leaf, i=i: leaf[i], critics)) for i in range(E)]
    both = np.concatenate([reference.flat(obs), action], 1)
    return np.stack([reference.forward(network, both)[0] for network in members])


def numpy_loss(name, params, learner, batch, key):
    alpha = np.exp(float(learner.params["temperature"]["params"]))
    if name == "actor":
        action, log_prob = draw(params, batch.obs, key)
        return np.mean(alpha * log_prob - quantiles(learner.params["critic"], batch.obs, action).mean((0, 2)))
    action, log_prob = draw(learner.params["actor"], batch.next_obs, key)
    pooled = quantiles(learner.target_params["critic"], batch.next_obs, action)
    found, total = quantiles(params, batch.obs, batch.action), 0.0
    for b in range(len(batch.reward)):
        kept = sorted(pooled[:, b].ravel())[: E * K - E * DROPPED]
        y = batch.reward[b] + CONFIG.discount * batch.discount[b] * (np.array(kept) - alpha * log_prob[b])
        for member in found[:, b]:
            for m, theta in enumerate(member):
                u = y - theta
                huber = np.where(abs(u) <= 1, u**2 / 2, abs(u) - 0.5)
                total += np.mean(abs((m + 0.5) / K - (u < 0)) * huber)
    return total / len(batch.reward)


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_the_paper(name, losses, learner):
    for seed in range(3):
        batch, key = random_batch(seed), jax.random.fold_in(KEY, seed)
        expected = numpy_loss(name, learner.params[name], learner, batch, key)
        (loss, _), _ = losses[name](learner.params[name], learner, batch, key)
        np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_against_finite_differences_of_the_numpy_losses(name, losses, learner):
    rng, batch, params = np.random.default_rng(0), random_batch(0), learner.params[name]
    _, grads = losses[name](params, learner, batch, KEY)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    for _ in range(3):
        along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), exact)

        def at(step, along=along):
            return numpy_loss(name, jax.tree.map(lambda p, d: p + step * d, exact, along), learner, batch, KEY)

        slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float(np.sum(np.asarray(g) * d)), grads, along)))
        np.testing.assert_allclose(slope, (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-3, atol=1e-4)


def test_the_largest_quantiles_are_dropped_wherever_they_come_from():
    """Both of the second critic, and none of the first; nothing where nothing is to be dropped."""
    q = jnp.array([[[1.0, -2.0]], [[5.0, 4.0]]])
    np.testing.assert_array_equal(truncated(q, 1), [[-2, 1]])
    np.testing.assert_array_equal(truncated(q, 0), [[-2, 1, 4, 5]])


def test_the_value_is_the_mean_of_all_quantiles(learner):
    batch = random_batch(0)
    value = jax.jit(tqc(CONFIG, TOY).value)(learner, batch.obs, batch.action)
    expected = quantiles(learner.params["critic"], batch.obs, batch.action).mean((0, 2))
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_something_must_be_kept():
    with pytest.raises(SettingError, match=r"quantiles must be above dropped \(25\), not 25\."):
        tqc(TQCConfig(dropped=25), TOY)
    with pytest.raises(SettingError, match=r"critics must be at least 1, not 0\."):
        tqc(TQCConfig(critics=0), TOY)
