"""DPG on-policy and off-policy: updates against NumPy (Silver et al. 2014, sections 4.1 and 4.2)."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from toys import spec

from ddpg_jax import DPGConfig, LoopConfig, SettingError, dpg_off_policy, dpg_on_policy, make_env, train, trainer
from ddpg_jax.core.types import Transition

B, KEY = 16, jax.random.key(0)
TOY = spec(obs_shape=(3,), action_size=2)
CONFIG = DPGConfig(actor_lr=0.01, critic_lr=0.02, discount=0.9, hidden=(7, 5), optimizer="sgd")
METHODS = {"on": dpg_on_policy, "off": dpg_off_policy}


def random_batch(seed):
    """A minibatch some of which has terminated and some been cut; `next_action` is not the policy's own."""
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, B, 3)).astype(np.float32)
    action, next_action = rng.uniform(-1, 1, (2, B, 2)).astype(np.float32)
    discount = (rng.random(B) > 1 / 3).astype(np.float32)
    truncated = (discount == 1) & (rng.random(B) > 0.5)
    return Transition(obs, action, rng.normal(size=B).astype(np.float32), discount, truncated, next_obs, next_action)


def mu(actor, obs):
    return np.tanh(reference.forward(actor, reference.flat(obs))[0])


def numpy_update(method, actor, critic, batch):
    """δ = r + γ Q(s', a') - Q(s, a) with Sarsa's or Q-learning's a'; plain gradient steps, critic first."""
    greedy = mu(actor, batch.next_obs)
    sarsa = np.where(batch.truncated[:, None], greedy, batch.next_action)
    next_q = reference.q_value(critic, batch.next_obs, sarsa if method == "on" else greedy)
    target = batch.reward + CONFIG.discount * batch.discount * next_q
    q, inputs = reference.forward(critic, np.concatenate([reference.flat(batch.obs), batch.action], 1))
    grads, _ = reference.backward(critic, inputs, 2 * (q[:, 0] - target)[:, None] / B)
    critic = reference.zip_map(lambda p, g: p - CONFIG.critic_lr * g, critic, grads)
    _, grads = reference.actor_gradient(actor, critic, batch)
    return reference.zip_map(lambda p, g: p - CONFIG.actor_lr * g, actor, grads), critic


@pytest.mark.parametrize("method", METHODS)
def test_two_updates_are_those_of_the_paper(method):
    agent = METHODS[method](CONFIG, TOY)
    learner, update = agent.init(KEY), jax.jit(agent.update)
    assert learner.target_params == {}
    actor, critic = (reference.layers(learner.params[name]) for name in ("actor", "critic"))
    for update_step in range(2):
        learner, _ = update(learner, random_batch(update_step), KEY, update_step)
        actor, critic = numpy_update(method, actor, critic, random_batch(update_step))
        for name, expected in (("actor", actor), ("critic", critic)):
            got = reference.layers(learner.params[name])
            chex.assert_trees_all_close(got, expected, rtol=2e-4, atol=1e-6)


def test_on_policy_learns_from_the_actions_really_taken_in_the_newest_steps():
    """In the loop: the batch is the N steps before the newest, and no setting of the replay matters."""
    env = make_env("lqr", episode_length=4)
    loop = LoopConfig(num_envs=3, batch_size=1000, replay_capacity=10**9, warmup_steps=3)
    run = trainer(env, dpg_on_policy(CONFIG, env.spec), loop)
    state = jax.jit(lambda key: run.prefill(run.init(key)))(KEY)
    assert state.memory.reward.shape == (2 * 3,)
    state, metrics = jax.jit(run.train)(state, jnp.int32(1), jnp.int32(9))
    assert metrics["critic/loss"][1] == 9
    assert np.isfinite(metrics["critic/loss"][0])


def test_on_policy_refuses_longer_returns():
    env = make_env("lqr")
    with pytest.raises(SettingError, match="n_step must be 1 for an on-policy method"):
        train(KEY, env, dpg_on_policy(CONFIG, env.spec), LoopConfig(n_step=2), steps=2000)
