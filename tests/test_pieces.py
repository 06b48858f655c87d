"""The pieces of an algorithm that are arguments: the critic's loss and outputs, the replay, the exploration."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec

from ddpg_jax.algorithms.d4pg import D4PGConfig, d4pg
from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.algorithms.dpg import DPGConfig, dpg_off_policy, dpg_on_policy
from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.algorithms.td3 import TD3Config, td3
from ddpg_jax.core.exploration import uniform
from ddpg_jax.core.losses import huber_loss, td_loss
from ddpg_jax.core.networks import default_actor, default_critic, network
from ddpg_jax.core.prioritized import prioritized_replay
from ddpg_jax.core.types import Algorithm, Transition

B, K, DISCOUNT, KEY = 6, 4, 0.9, jax.random.key(0)
TOY = spec((2,), 1)
COMMON = {"hidden": (5,), "discount": DISCOUNT}


class Sure(nn.Module):
    """A Gaussian actor without noise."""

    @nn.compact
    def __call__(self, obs):
        mean = nn.Dense(1)(obs)
        return mean, jnp.full_like(mean, -40.0)


ALGORITHMS = {
    "ddpg": (ddpg, DDPGConfig(**COMMON), None),
    "td3": (td3, TD3Config(**COMMON, norm="none", target_noise=0.0), None),
    "sac": (sac, SACConfig(**COMMON, norm="none", temperature=1e-30), network(Sure())),
    "dpg-off-policy": (dpg_off_policy, DPGConfig(**COMMON), None),
    "dpg-on-policy": (dpg_on_policy, DPGConfig(**COMMON), None),
    "d4pg": (d4pg, D4PGConfig(**COMMON, atoms=K), None),
}
SEVERAL = ["ddpg", "td3", "sac", "dpg-off-policy"]


def batch(**fields):
    rng = np.random.default_rng(0)
    obs, following = np.float32(rng.normal(size=(2, B, 2)))
    reward, action = np.float32(rng.normal(size=B)), np.float32(rng.uniform(-1, 1, (B, 1)))
    discount = np.float32([1, 0, 1, 1, 0, 1])
    return Transition(obs, action, reward, discount, np.zeros(B, bool), following).replace(next_action=action, **fields)


def members(params):
    """The variables of each critic, of one that is alone too."""
    count = len(jax.tree.leaves(params)[0]) if jax.tree.leaves(params)[-1].ndim == 3 else None
    return [params] if count is None else [jax.tree.map(lambda leaf, i=i: leaf[i], params) for i in range(count)]


@pytest.mark.parametrize("name", SEVERAL)
def test_each_output_of_a_critic_has_a_target_of_its_own(name):
    """r + γ d Q'ₖ(s', a'), of two critics the smaller one of each output; Q is the mean of the outputs."""
    make, config, actor = ALGORITHMS[name]
    seen = {}

    def loss(q, target, weight=None):
        seen.update(q=q.shape, target=target, weight=weight)
        return td_loss(q, target, weight)

    critic = default_critic(config, TOY, K)
    agent = make(config, TOY, actor, critic, loss=loss)
    learner, data = agent.init(KEY), batch()
    learner = learner.replace(target_params=jax.tree.map(lambda leaf: 0.7 * leaf, learner.target_params))
    agent.update(learner, data, KEY, 1)

    bootstrapping = learner.target_params if "critic" in learner.target_params else learner.params
    mu = bootstrapping.get("actor", learner.params["actor"])
    mean = actor.apply(mu, data.next_obs) if actor else default_actor(config, TOY).apply(mu, data.next_obs)
    action = jnp.tanh(mean[0]) if actor else mean
    twins = [critic.apply(one, data.next_obs, action) for one in members(bootstrapping["critic"])]
    expected = data.reward[:, None] + DISCOUNT * data.discount[:, None] * np.min(twins, axis=0)
    assert seen["q"] == ((2, B, K) if len(twins) == 2 else (B, K))
    np.testing.assert_allclose(seen["target"], expected, rtol=1e-4, atol=1e-6)
    assert seen["weight"] is None

    outputs = np.array([critic.apply(one, data.obs, data.action) for one in members(learner.params["critic"])])
    value = outputs.mean(-1)[0] if name == "td3" else outputs.mean(-1).min(0)
    np.testing.assert_allclose(agent.value(learner, data.obs, data.action), value, rtol=1e-5, atol=1e-6)
    assert agent.value(learner, data.obs[0], data.action[0]).shape == ()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_weights_reach_the_loss_and_pieces_the_agent(name):
    """A transition without weight does not count; replay and exploration are those that were given."""
    make, config, actor = ALGORITHMS[name]
    pieces = {"explorer": lambda config, policy, action_size: uniform(action_size)}
    if name != "dpg-on-policy":
        pieces["memory"] = prioritized_replay
    agent = make(config, TOY, actor, **pieces)
    learner, update = jax.jit(agent.init)(KEY), jax.jit(agent.update)
    assert agent.memory is pieces.get("memory", agent.memory)
    assert (agent.memory is prioritized_replay) == ("memory" in pieces)
    assert agent.explorer.scale is None
    weight = jnp.array([0.0, 1, 1, 1, 1, 1])
    strange = batch().reward.copy()
    strange[0] = 1e6
    losses = [
        float(update(learner, data, KEY, 0)[1]["critic/loss"][0])
        for data in (
            batch(weight=weight),
            batch(weight=weight).replace(reward=strange),
            batch(weight=2 * weight),
            batch(),
        )
    ]
    assert losses[0] == losses[1] != losses[3]
    np.testing.assert_allclose(losses[2], 2 * losses[0], rtol=1e-5)


def test_a_function_with_pieces_filled_in_is_an_algorithm():
    """Its line in the list of algorithms is that of the function, not that of functools."""
    made = functools.partial(functools.partial(ddpg, loss=huber_loss), memory=prioritized_replay)
    assert Algorithm(DDPGConfig, made).summary() == "Returns a DDPG agent (Lillicrap et al. 2016, Algorithm 1)."
    assert Algorithm(DDPGConfig, made, "My own.").summary() == "My own."
    assert Algorithm(DDPGConfig, made).make(DDPGConfig(), TOY).memory is prioritized_replay
