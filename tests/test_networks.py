"""networks.py: shapes, ranges, initial weights, and statistics that come back."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax.networks import Actor, Critic, Dense, Shape, flatten, network

KEY = jax.random.key(0)


@pytest.mark.parametrize("lead", [(), (4,), (2, 4)])
@pytest.mark.parametrize("obs_shape", [(3,), (2, 3), ()])
def test_any_leading_dimensions(lead, obs_shape):
    """An actor gives [..., A] and a critic [...], whatever the shape of one observation."""
    obs, action = jnp.ones((*lead, *obs_shape)), jnp.zeros((*lead, 2))
    actor, critic = network(Actor(2, Shape(len(obs_shape), (5,)))), network(Critic(Shape(len(obs_shape), (5,))))
    assert jax.eval_shape(lambda: actor.apply(actor.init(KEY, obs), obs)).shape == (*lead, 2)
    assert jax.eval_shape(lambda: critic.apply(critic.init(KEY, obs, action), obs, action)).shape == lead


def test_an_actor_stays_in_the_box():
    """Even for observations of absurd size."""
    actor = network(Actor(2, Shape(1, (5,))))
    obs = 1e6 * jax.random.normal(KEY, (50, 3))
    assert np.abs(actor.apply(actor.init(KEY, obs), obs)).max() <= 1


def test_a_critic_reads_its_action():
    """Another action, another value."""
    critic = network(Critic(Shape(1, (5,))))
    obs, action = jnp.ones((4, 3)), jnp.linspace(-1, 1, 4)[:, None]
    q = critic.apply(critic.init(KEY, obs, action), obs, action)
    assert len(np.unique(q)) == 4


def test_bytes_are_read_as_numbers():
    """A uint8 observation counts from 0 to 255, in float32."""
    obs = jnp.array([[[0, 255], [1, 2]]], jnp.uint8)
    out = flatten(obs, 2)
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, [[0, 255, 1, 2]])


@pytest.mark.parametrize(("scale", "bound"), [(None, 1 / 20), (0.003, 0.003)])
def test_initial_weights_fill_their_range(scale, bound):
    """U(-1/√inputs, 1/√inputs), or the range asked for; kernels and biases."""
    variables = Dense(300, scale).init(KEY, jnp.zeros((1, 400)))["params"]["Dense_0"]
    for weights in variables.values():
        assert np.abs(weights).max() <= bound
        np.testing.assert_allclose(np.std(weights), bound / np.sqrt(3), rtol=0.1)


def test_hidden_sets_the_widths():
    """One hidden layer per width, and the output after them."""
    init = network(Critic(Shape(1, (7, 5)))).init
    variables = jax.eval_shape(init, KEY, jnp.zeros((1, 3)), jnp.zeros((1, 2)))
    kernels = [leaf.shape for leaf in jax.tree.leaves(variables) if leaf.ndim == 2]
    assert sorted(kernels) == [(5, 1), (5, 7), (7, 5)]


class Normalised(nn.Module):
    """A linear layer behind a batch norm."""

    @nn.compact
    def __call__(self, x):
        evaluating = not self.is_mutable_collection("batch_stats")
        return nn.Dense(1)(nn.BatchNorm(use_running_average=evaluating, momentum=0.9)(x))


def test_train_returns_the_statistics_it_moved():
    """By momentum towards the batch's own; `apply` uses them and moves nothing."""
    net, x = network(Normalised()), jnp.array([[1.0], [3.0]])
    variables = net.init(KEY, x)
    y, mutated = net.train(variables, x)
    stats = mutated["batch_stats"]["BatchNorm_0"]
    assert list(mutated) == ["batch_stats"]
    np.testing.assert_allclose(stats["mean"], [0.1 * 2.0], rtol=1e-5)
    np.testing.assert_allclose(stats["var"], [0.9 + 0.1 * 1.0], rtol=1e-5)
    assert not np.allclose(y, net.apply(variables, x))


def test_train_and_apply_agree_without_statistics():
    """And there is nothing to give back."""
    net, x = network(Actor(2, Shape(1, (5,)))), jnp.ones((4, 3))
    variables = net.init(KEY, x)
    y, mutated = net.train(variables, x)
    assert not mutated
    np.testing.assert_array_equal(y, net.apply(variables, x))
