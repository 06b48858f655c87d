"""losses.py: by hand, without a gradient into the target, and with shapes that would broadcast refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.core.losses import categorical_projection, cross_entropy, squash, td_loss, td_target
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


ROW, COLUMN, TABLE = jnp.zeros(3), jnp.zeros((3, 1)), jnp.zeros((3, 2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: td_target(rewards([0.0] * 3, [1.0] * 3), COLUMN, 0.9),
        lambda: td_target(rewards([0.0] * 3, [1.0] * 3), jnp.zeros(()), 0.9),
        lambda: td_loss(COLUMN, ROW),
        lambda: td_loss(ROW, COLUMN),
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
