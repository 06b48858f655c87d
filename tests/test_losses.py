"""losses.py: by hand, without a gradient into the target, and with shapes that would broadcast refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.core.losses import (
    categorical_projection,
    cross_entropy,
    huber_loss,
    quantile_huber_loss,
    squash,
    td_loss,
    td_target,
)
from ddpg_jax.core.types import Transition


def rewards(reward, discount):
    """A batch of which the target reads only this; one row is a truncation, which changes nothing."""
    blank = jnp.zeros((len(reward), 1))
    truncated = jnp.arange(len(reward)) == 0
    return Transition(blank, blank, jnp.array(reward), jnp.array(discount), truncated, blank)


class ByHand(chex.TestCase):
    """Small numbers, eagerly, under jit and with the arguments on the device or not."""

    @chex.all_variants(with_pmap=False)
    def test_target(self):
        """A terminated row is its reward alone; any other adds the discounted value of the next state."""
        batch = rewards([1.0, 2.0, -3.0], [1.0, 0.0, 1.0])
        target = self.variant(td_target)(batch, jnp.array([10.0, 10.0, 4.0]), 0.9)
        np.testing.assert_allclose(target, [10.0, 2.0, 0.6], rtol=1e-6)

    @chex.all_variants(with_pmap=False)
    def test_loss(self):
        """The mean over the minibatch of the squared error, without a half."""
        np.testing.assert_allclose(self.variant(td_loss)(jnp.array([1.0, 2.0]), jnp.array([3.0, 1.0])), 2.5)


def test_loss_of_an_ensemble_is_the_sum_over_its_members():
    """So that the step of one member does not depend on how many others there are."""
    q, target = jnp.array([[1.0, 2.0], [0.0, 0.0], [3.0, 1.0]]), jnp.array([3.0, 1.0])
    np.testing.assert_allclose(td_loss(q, target), sum(td_loss(member, target) for member in q))


def test_gradient_of_the_loss_by_hand():
    """2 (Q - y) / B."""
    gradient = jax.grad(td_loss)(jnp.array([1.0, 2.0]), jnp.array([3.0, 1.0]))
    np.testing.assert_allclose(gradient, [-2.0, 1.0])


B, K = 6, 5
LOSSES = {"square": td_loss, "huber": huber_loss, "quantile": quantile_huber_loss}


def by_hand(name, q, target, weight):
    """The loss of one member [B] or [B, K], number by number, in float64."""
    total = 0.0
    for b in range(B):
        if name == "quantile":
            one = 0.0
            for i in range(K):
                for sample in target[b]:
                    u = sample - q[b, i]
                    huber = u**2 / 2 if abs(u) <= 1 else abs(u) - 0.5
                    one += abs((i + 0.5) / K - (u < 0)) * huber / len(target[b])
        else:
            u = np.ravel(target[b] - q[b])
            huber = np.where(abs(u) <= 1, u**2 / 2, abs(u) - 0.5)
            one = np.mean(u**2 if name == "square" else huber)
        total += weight[b] * one / B
    return total


@pytest.mark.parametrize("outputs", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_critics_by_hand(name, weighted, outputs):
    """Of one critic and of two; weights are those of the transitions, whatever the critic returns for them."""
    if name == "quantile" and not outputs:
        return
    rng = np.random.default_rng(0)
    q, target = (2 * rng.normal(size=(2, B, K)[: 2 + outputs]) for _ in range(2))
    weight = rng.uniform(size=B) if weighted else np.ones(B)
    one, loss = by_hand(name, q[0], target[0], weight), jax.jit(LOSSES[name])
    given = jnp.asarray(weight) if weighted else None
    np.testing.assert_allclose(loss(jnp.asarray(q[0]), jnp.asarray(target[0]), given), one, rtol=1e-5)
    two = one + by_hand(name, q[1], target[0], weight)
    np.testing.assert_allclose(loss(jnp.asarray(q), jnp.asarray(target[0]), given), two, rtol=1e-5)


def test_quantiles_are_what_minimizes_the_loss():
    """Five outputs for five numbers that are far apart, where Huber's loss is that of quantile regression."""
    target = jnp.array([[0.0, 10.0, 30.0, 60.0, 100.0]])

    def step(q, _):
        return q - 0.5 * jax.grad(quantile_huber_loss)(q, target), None

    q = jax.lax.scan(step, jnp.full((1, 5), 40.0), None, 3000)[0]
    np.testing.assert_allclose(q, target, atol=1)


def test_a_target_may_have_more_samples_or_fewer_than_there_are_quantiles():
    rng = np.random.default_rng(1)
    for samples in (1, K + 2):
        q, target = rng.normal(size=(2, B, K)), rng.normal(size=(B, samples))
        expected = sum(by_hand("quantile", member, target, np.ones(B)) for member in q)
        np.testing.assert_allclose(jax.jit(quantile_huber_loss)(q, target), expected, rtol=1e-5)


def test_weights_of_a_categorical_critic():
    logits, probability = jnp.array([[0.0, 1.0], [2.0, 0.0]]), jnp.array([[0.5, 0.5], [1.0, 0.0]])
    each = [cross_entropy(logits[i : i + 1], probability[i : i + 1]) for i in range(2)]
    weighted = cross_entropy(logits, probability, jnp.array([0.25, 1.0]))
    np.testing.assert_allclose(weighted, (0.25 * each[0] + each[1]) / 2, rtol=1e-6)


def test_a_target_of_several_outputs_has_one_reward():
    batch = rewards([1.0, 2.0, -3.0], [1.0, 0.0, 1.0])
    target = td_target(batch, jnp.array([[10.0, 20.0], [10.0, 0.0], [4.0, 5.0]]), 0.9)
    np.testing.assert_allclose(target, [[10.0, 19.0], [2.0, 2.0], [0.6, 1.5]], rtol=1e-6)


ROW, COLUMN, TABLE = jnp.zeros(3), jnp.zeros((3, 1)), jnp.zeros((3, 2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: td_target(rewards([0.0] * 3, [1.0] * 3), COLUMN.T, 0.9),
        lambda: td_target(rewards([0.0] * 3, [1.0] * 3), COLUMN[None], 0.9),
        lambda: td_target(rewards([0.0] * 3, [1.0] * 3), jnp.zeros(()), 0.9),
        lambda: td_loss(COLUMN, ROW),
        lambda: td_loss(ROW, COLUMN),
        lambda: huber_loss(COLUMN, ROW),
        lambda: td_loss(ROW, ROW, jnp.zeros(1)),
        lambda: td_loss(TABLE, TABLE, jnp.zeros(2)),
        lambda: quantile_huber_loss(ROW, ROW),
        lambda: quantile_huber_loss(TABLE, TABLE[:1]),
        lambda: quantile_huber_loss(TABLE, ROW),
        lambda: quantile_huber_loss(ROW, TABLE),
        lambda: cross_entropy(TABLE, TABLE, COLUMN),
        lambda: td_loss(jnp.zeros((2, 1)), ROW),
        lambda: categorical_projection(TABLE, COLUMN, jnp.zeros(2)),
        lambda: categorical_projection(TABLE, TABLE, ROW),
        lambda: cross_entropy(TABLE, COLUMN),
        lambda: squash(jax.random.key(0), TABLE, COLUMN),
    ],
)
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_shapes_that_would_broadcast_are_refused(call, transform):
    with pytest.raises(AssertionError):
        transform(call)()
