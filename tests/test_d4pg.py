"""D4PG: two updates against NumPy, and the projection against the loop of Bellemare et al. 2017, Algorithm 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from test_ddpg import TOY, B, assert_close, random_batch

from ddpg_jax import SettingError
from ddpg_jax.algorithms.d4pg import D4PGConfig, d4pg
from ddpg_jax.core.losses import categorical_projection, cross_entropy

K = 5
CONFIG = D4PGConfig(
    actor_lr=0.01, critic_lr=0.02, discount=0.9, tau=0.1, hidden=(7, 5), atoms=K, value_low=-1.5, value_high=2.5
)
KEY = jax.random.key(3)
SUPPORT = np.linspace(-1.5, 2.5, K)


@pytest.fixture(scope="module")
def learner():
    start = jax.jit(d4pg(CONFIG, TOY).init)(KEY)
    # Targets of their own, as they are later in a run, and a critic that is not close to uniform.
    return start.replace(target_params=jax.tree.map(lambda leaf: 2.7 * leaf + 0.05, start.target_params))


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def project(atoms, probability, support):
    """Algorithm 1 of the paper, atom by atom."""
    m, gap = np.zeros((len(atoms), len(support))), support[1] - support[0]
    for row in range(len(atoms)):
        for j in range(len(support)):
            b = (np.clip(atoms[row, j], support[0], support[-1]) - support[0]) / gap
            low, high = int(np.floor(b)), int(np.ceil(b))
            if low == high:
                m[row, low] += probability[row, j]
            else:
                m[row, low] += probability[row, j] * (high - b)
                m[row, high] += probability[row, j] * (b - low)
    return m


def numpy_update(params, targets, moments, batch):
    """Critic down the cross-entropy, the actor up its mean, and both targets."""
    next_action = np.tanh(reference.forward(targets["actor"], reference.flat(batch.next_obs))[0])
    next_logits, _ = reference.forward(
        targets["critic"], np.concatenate([reference.flat(batch.next_obs), next_action], 1)
    )
    reward, discount = np.asarray(batch.reward, np.float64)[:, None], np.asarray(batch.discount, np.float64)[:, None]
    m = project(reward + CONFIG.discount * discount * SUPPORT, softmax(next_logits), SUPPORT)
    logits, inputs = reference.forward(params["critic"], np.concatenate([reference.flat(batch.obs), batch.action], 1))
    losses = {"critic": -(m * np.log(softmax(logits))).sum(1).mean(), "q": (softmax(logits) @ SUPPORT).mean()}
    grads = reference.backward(params["critic"], inputs, (softmax(logits) - m) / B)[0]
    critic, critic_moments = reference.adam(params["critic"], grads, moments["critic"], CONFIG.critic_lr)

    before, actor_inputs = reference.forward(params["actor"], reference.flat(batch.obs))
    action = np.tanh(before)
    logits, inputs = reference.forward(critic, np.concatenate([reference.flat(batch.obs), action], 1))
    p = softmax(logits)
    mean = p @ SUPPORT
    losses["actor"] = -mean.mean()
    _, grad = reference.backward(critic, inputs, -p * (SUPPORT - mean[:, None]) / B)
    grad = grad[:, -action.shape[1] :] * (1 - action**2)
    grads = reference.backward(params["actor"], actor_inputs, grad)[0]
    actor, actor_moments = reference.adam(params["actor"], grads, moments["actor"], CONFIG.actor_lr)
    params = {"critic": critic, "actor": actor}
    targets = {
        name: reference.zip_map(lambda p, t: CONFIG.tau * p + (1 - CONFIG.tau) * t, params[name], targets[name])
        for name in params
    }
    return params, targets, {"critic": critic_moments, "actor": actor_moments}, losses


def test_two_updates_are_those_of_the_paper(learner):
    update = jax.jit(d4pg(CONFIG, TOY).update)
    params = {name: reference.layers(learner.params[name]) for name in ("critic", "actor")}
    targets = {name: reference.layers(learner.target_params[name]) for name in params}
    zeros = {name: reference.zip_map(np.zeros_like, params[name]) for name in params}
    moments = {name: (0, zeros[name], zeros[name]) for name in params}
    for update_step in range(2):
        batch = random_batch(update_step)
        learner, metrics = update(learner, batch, KEY, update_step)
        params, targets, moments, losses = numpy_update(params, targets, moments, batch)
        for name in params:
            assert_close(reference.layers(learner.params[name]), params[name])
            assert_close(reference.layers(learner.target_params[name]), targets[name])
            np.testing.assert_allclose(metrics[f"{name}/loss"][0], losses[name], rtol=1e-4)
        np.testing.assert_allclose(metrics["critic/q"][0], losses["q"], rtol=1e-4)


def test_value_is_the_mean_of_the_distribution(learner):
    batch = random_batch(0)
    logits, _ = reference.forward(
        reference.layers(learner.params["critic"]), np.concatenate([reference.flat(batch.obs), batch.action], 1)
    )
    assert_close(d4pg(CONFIG, TOY).value(learner, batch.obs, batch.action), softmax(logits) @ SUPPORT)


@pytest.mark.parametrize("form", ["cpu", "default"])
def test_the_projection_is_that_of_the_paper(monkeypatch, form):
    """Atoms between, on and beyond those of the support; within it the mean stays. As on a CPU, and as elsewhere."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **forms: forms[form](*args))
    rng = np.random.default_rng(0)
    atoms, probability = rng.uniform(-4, 4, (20, K)), softmax(rng.normal(size=(20, K)))
    atoms[:5] = SUPPORT
    atoms[5:10] = np.clip(atoms[5:10], -1.5, 2.5)
    found = categorical_projection(jnp.array(atoms), jnp.array(probability), jnp.array(SUPPORT))
    np.testing.assert_allclose(found, project(atoms, probability, SUPPORT), atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose((found @ SUPPORT)[:10], (atoms * probability).sum(1)[:10], atol=1e-5)


def test_cross_entropy_by_hand():
    """Even logits say log 2 of any target; a certain and right prediction says nothing."""
    np.testing.assert_allclose(cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.3, 0.7]])), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(jnp.array([[0.0, 50.0]]), jnp.array([[0.0, 1.0]])), 0, atol=1e-6)


def test_bounds_out_of_order_are_refused():
    with pytest.raises(SettingError, match=r"value_high must be above value_low \(100.0\), not -100.0."):
        d4pg(D4PGConfig(value_low=100.0, value_high=-100.0), TOY)


def test_bounds_may_be_swept(learner):
    """They are numbers: a batch of them is one program."""
    highs, batch = jnp.array([1.0, 2.5]), random_batch(0)
    both = jax.vmap(lambda high: d4pg(CONFIG.replace(value_high=high), TOY).value(learner, batch.obs, batch.action))
    one = d4pg(CONFIG.replace(value_high=1.0), TOY).value(learner, batch.obs, batch.action)
    other = d4pg(CONFIG, TOY).value(learner, batch.obs, batch.action)
    assert_close(both(highs), np.stack([one, other]))
    assert np.abs(one - other).min() > 1e-3
