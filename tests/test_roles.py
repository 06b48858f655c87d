"""roles.py: one role at a time, on problems small enough to write down in NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ddpg_jax.core.networks import network
from ddpg_jax.core.roles import Role, actor_critic, descend, periodic, polyak
from ddpg_jax.core.types import Learner, Transition

KEY = jax.random.key(0)
BATCH = Transition(obs=jnp.arange(8.0)[:, None], action=None, reward=None, discount=None, truncated=None, next_obs=None)


def pulled(name, towards):
    """(own - towards(learner))²: what a role does if all the rest is a constant."""

    def loss(params, learner, batch, key):
        gap = params["w"] - towards(learner)
        return gap**2, ({}, {"gap": gap})

    return Role(lambda key: {"w": jnp.float32(0)}, loss, optax.sgd(0.25))  # half the gap a step


def weights(tree):
    return {name: float(params["w"]) for name, params in tree.items()}


def to_other(learner):
    return learner.params["b"]["w"] + 4.0


def to_own(learner):
    """A loss that names its own parameters a second time, as a bootstrapped target without a slow copy does."""
    return 0.5 * learner.params["a"]["w"] + 1.0


def to_own_target(learner):
    return 0.5 * learner.target_params["a"]["w"] + 1.0


@pytest.mark.parametrize("towards", [to_other, to_own, to_own_target])
def test_descend_sees_all_but_its_own_argument_as_constant(towards):
    """The gradient is 2 gap, with no term through the target, whatever parameters the target is made of."""
    role = pulled("a", towards)
    params = {"a": {"w": jnp.float32(3.0)}, "b": {"w": jnp.float32(-2.0)}}
    learner = Learner(
        params, {"a": {"w": jnp.float32(1.0)}}, {name: role.optimizer.init(params[name]) for name in params}
    )
    gap = 3.0 - float(towards(learner))
    after, metrics = descend("a", role, learner, BATCH, KEY)
    np.testing.assert_allclose(after.params["a"]["w"], 3.0 - 0.25 * 2 * gap, rtol=1e-6)
    assert after.params["b"] is learner.params["b"]
    assert after.opt_state["b"] is learner.opt_state["b"]
    assert after.target_params is learner.target_params
    assert {name: [float(x) for x in pair] for name, pair in metrics.items()} == {
        "a/loss": [gap**2, 1.0],
        "a/gap": [gap, 1.0],
    }


def test_a_role_sees_what_earlier_ones_have_just_become():
    """The order of the table is the order of the steps."""
    roles = {"b": pulled("b", lambda learner: 8.0), "a": pulled("a", to_other)}
    init, update = actor_critic(roles)
    learner, _ = update(init(KEY), BATCH, KEY, jnp.int32(0))
    assert weights(learner.params) == {"b": 4.0, "a": 4.0}  # half of 4 + 4; half of 0 + 4 were it the old b


def trace(roles, ticks):
    """Weights, targets and metrics after each update."""
    init, update = actor_critic(roles)
    update, learner = jax.jit(update), init(KEY)
    for update_step in range(ticks):
        learner, metrics = update(learner, BATCH, KEY, jnp.int32(update_step))
        yield update_step, weights(learner.params), weights(learner.target_params), metrics


def test_a_delayed_role_steps_every_second_time_and_targets_keep_its_pace():
    """On the ticks between, its weights are untouched and its metrics count nothing."""
    b = pulled("b", lambda learner: 8.0)._replace(target=polyak(0.5))
    a = pulled("a", to_other)._replace(every=2, target=polyak(0.5))
    w, target = {"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 0.0}
    for update_step, params, targets, metrics in trace({"b": b, "a": a}, 6):
        due = update_step % 2
        w["b"] += 0.5 * (8.0 - w["b"])
        gap = w["a"] - w["b"] - 4.0
        w["a"] -= 0.5 * gap * due
        target = {name: target[name] + 0.5 * due * (w[name] - target[name]) for name in w}
        assert params == pytest.approx(w, rel=1e-6)
        assert targets == pytest.approx(target, rel=1e-6)
        assert metrics["b/loss"][1] == 1
        assert metrics["a/gap"] == (pytest.approx(gap * due), due)


def test_periodic_targets_are_copies_made_every_so_many_updates():
    """After updates 3 and 6, and in between they stand still."""
    kept = 0.0
    for update_step, params, targets, _ in trace(
        {"b": pulled("b", lambda learner: 8.0)._replace(target=periodic(3))}, 7
    ):
        kept = params["b"] if (update_step + 1) % 3 == 0 else kept
        assert targets["b"] == kept
        assert targets["b"] != params["b"] or (update_step + 1) % 3 == 0


def test_periodic_targets_count_the_steps_of_the_slowest_role():
    """With a role that steps every second time, a period of 3 is a copy every 6 updates."""
    b = pulled("b", lambda learner: 8.0)._replace(target=periodic(3))
    a = pulled("a", to_other)._replace(every=2)
    copied = [targets["b"] == params["b"] for _, params, targets, _ in trace({"b": b, "a": a}, 12)]
    assert copied == [False] * 5 + [True] + [False] * 5 + [True]


def test_a_role_without_a_target_has_none():
    """And a target starts as an array of its own, so that both can be donated."""
    roles = {"a": pulled("a", to_other), "b": pulled("b", to_other)._replace(target=polyak(0.5))}
    learner = actor_critic(roles)[0](KEY)
    assert list(learner.target_params) == ["b"]
    assert learner.target_params["b"]["w"] is not learner.params["b"]["w"]
    jax.jit(lambda learner: learner, donate_argnums=0)(learner)


def test_roles_start_and_step_from_keys_of_their_own():
    """No two roles see the same randomness, and another key gives other."""

    def loss(params, learner, batch, key):
        return params["w"] ** 2, ({}, {"drawn": jax.random.normal(key)})

    role = Role(lambda key: {"w": jax.random.normal(key)}, loss, optax.sgd(0.1))
    init, update = actor_critic({"a": role, "b": role})
    learner, other, update_key = init(KEY), init(jax.random.key(1)), jax.random.key(2)
    _, metrics = update(learner, BATCH, update_key, jnp.int32(0))
    draws = [*weights(learner.params).values(), *weights(other.params).values()]
    draws += [float(metrics[f"{name}/drawn"][0]) for name in "ab"]
    assert len(set(draws)) == len(draws)


class Normalized(nn.Module):
    """A linear layer behind a batch norm."""

    @nn.compact
    def __call__(self, x):
        evaluating = not self.is_mutable_collection("batch_stats")
        return nn.Dense(1)(nn.BatchNorm(use_running_average=evaluating, momentum=0.5)(x))


def test_running_statistics_come_back_and_are_averaged():
    """They move by their own momentum, not by the optimizer, and the target follows them as it follows weights."""
    net = network(Normalized())

    def loss(params, learner, batch, key):
        y, mutated = net.apply_train(params, batch.obs)
        return jnp.mean((y - 3.0) ** 2), (mutated, {})

    role = Role(lambda key: net.init(key, BATCH.obs), loss, optax.adamw(0.1, weight_decay=0.5), target=polyak(0.25))
    init, update = actor_critic({"critic": role})
    update, learner = jax.jit(update), init(KEY)
    mean, target = 0.0, 0.0
    for update_step in range(3):
        before = learner.params["critic"]["params"]
        learner, _ = update(learner, BATCH, KEY, jnp.int32(update_step))
        mean = 0.5 * mean + 0.5 * np.arange(8.0).mean()
        target = 0.25 * mean + 0.75 * target
        params, slow = learner.params["critic"], learner.target_params["critic"]
        np.testing.assert_allclose(params["batch_stats"]["BatchNorm_0"]["mean"], [mean], rtol=1e-6)
        np.testing.assert_allclose(slow["batch_stats"]["BatchNorm_0"]["mean"], [target], rtol=1e-6)
        assert not np.allclose(params["params"]["Dense_0"]["kernel"], before["Dense_0"]["kernel"])
