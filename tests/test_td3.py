"""TD3: two updates against NumPy, built from the pieces of reference.py (Fujimoto et al. 2018, Algorithm 1)."""

import jax
import numpy as np
import pytest
import reference
from test_ddpg import TOY, B, assert_close, random_batch

from ddpg_jax.algorithms.td3 import TD3Config, td3

CONFIG = TD3Config(actor_lr=0.01, critic_lr=0.02, discount=0.9, tau=0.1, hidden=(7, 5), norm="none", target_noise=0.6)
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def learner():
    start = jax.jit(td3(CONFIG, TOY).init)(KEY)
    # Targets of their own, as they are later in a run.
    return start.replace(target_params=jax.tree.map(lambda leaf: 0.7 * leaf + 0.05, start.target_params))


@pytest.fixture(scope="module")
def update():
    return jax.jit(lambda config, *args: td3(config, TOY).update(*args[:2], KEY, args[2]))


def member(tree, i):
    return reference.layers(jax.tree.map(lambda leaf: leaf[i], tree))


def fresh(network):
    zeros = reference.zip_map(np.zeros_like, network)
    return 0, zeros, zeros


def smoothing_noise():
    """The draw of the critic's key: the first of one per role."""
    noise = jax.random.normal(jax.random.split(KEY, 2)[0], (B, TOY.action_size))
    return np.clip(
        CONFIG.target_noise * np.asarray(noise, np.float64), -CONFIG.target_noise_clip, CONFIG.target_noise_clip
    )


def critic_step(networks, moments, targets, batch):
    """One step of both critics towards the smaller of their targets; `targets` is (two critics, actor)."""
    next_action = np.tanh(reference.forward(targets[1], reference.flat(batch.next_obs))[0])
    next_action = np.clip(next_action + smoothing_noise(), -1, 1)
    next_q = np.minimum(*(reference.q_value(critic, batch.next_obs, next_action) for critic in targets[0]))
    y = batch.reward + CONFIG.discount * batch.discount * next_q
    after = []
    for network, moment in zip(networks, moments, strict=True):
        q, inputs = reference.forward(network, np.concatenate([reference.flat(batch.obs), batch.action], 1))
        grads = reference.backward(network, inputs, 2 * (q[:, 0] - y)[:, None] / B)[0]
        after.append(reference.adam(network, grads, moment, CONFIG.critic_lr))
    return [network for network, _ in after], [moment for _, moment in after]


def test_two_updates_are_those_of_the_paper(learner, update):
    """The critics step twice; the actor, against the first critic, and all targets once, on the second update."""
    critics = [member(learner.params["critic"], i) for i in range(2)]
    moments = [fresh(network) for network in critics]
    targets = (
        [member(learner.target_params["critic"], i) for i in range(2)],
        reference.layers(learner.target_params["actor"]),
    )
    actor = reference.layers(learner.params["actor"])
    first, second = random_batch(0), random_batch(1)

    after, metrics = update(CONFIG, learner, first, 0)
    critics, moments = critic_step(critics, moments, targets, first)
    assert_close([member(after.params["critic"], i) for i in range(2)], critics)
    assert_close(reference.layers(after.params["actor"]), actor)
    assert_close(reference.layers(after.target_params["actor"]), targets[1])
    assert metrics["actor/loss"][1] == 0

    after, metrics = update(CONFIG, after, second, 1)
    critics, moments = critic_step(critics, moments, targets, second)
    _, grads = reference.actor_gradient(actor, critics[0], second)
    actor, _ = reference.adam(actor, grads, fresh(actor), CONFIG.actor_lr)
    assert_close(reference.layers(after.params["actor"]), actor)

    def follow(p, t):
        return CONFIG.tau * p + (1 - CONFIG.tau) * t

    assert_close(reference.layers(after.target_params["actor"]), reference.zip_map(follow, actor, targets[1]))
    for i in range(2):
        expected = reference.zip_map(follow, critics[i], targets[0][i])
        assert_close(member(after.target_params["critic"], i), expected)
    assert metrics["actor/loss"][1] == 1


def test_twins_begin_apart(learner):
    """Two equal critics would stay equal for ever."""
    assert not np.allclose(*learner.params["critic"]["params"]["Dense_0"]["Dense_0"]["kernel"])


def test_value_is_the_first_critic(learner):
    agent, batch = td3(CONFIG, TOY), random_batch(0)
    q = reference.q_value(member(learner.params["critic"], 0), batch.obs, batch.action)
    assert_close(agent.value(learner, batch.obs, batch.action), q)
