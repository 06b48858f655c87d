"""Deterministic policy gradient (Silver et al. 2014, "Deterministic policy gradient algorithms"), sections 4.1 and 4.2.

No target networks: the critic bootstraps from itself, as a constant.
"""

from collections.abc import Callable

import jax.numpy as jnp

from ddpg_jax.core.agent import LearningConfig, actor_role, critic_role, examples, make_agent
from ddpg_jax.core.exploration import NoiseConfig, explorer
from ddpg_jax.core.losses import td_loss, td_target
from ddpg_jax.core.networks import Actor, Critic, NetworkConfig, network, shape
from ddpg_jax.core.replay import latest, uniform_replay
from ddpg_jax.core.settings import SettingError, check, configclass
from ddpg_jax.core.types import Agent, Array, Memory, Network, Spec, Transition


@configclass
class DPGConfig(NoiseConfig, NetworkConfig, LearningConfig):
    """Settings of DPG, on-policy and off-policy; floats are pytree leaves, the rest shapes the program."""


def dpg_on_policy(config: DPGConfig, spec: Spec, actor: Network | None = None, critic: Network | None = None) -> Agent:
    """On-policy deterministic actor-critic with a Sarsa critic (Silver et al. 2014, section 4.1, eqs. 11 to 13).

    An update sees the N transitions before the newest ones, and the actions that were really taken after them, whatever
    `batch_size` and `replay_capacity` say. A time limit leaves no such action: there the policy's own stands in.

    Args: as for `ddpg`.

    Raises:
      SettingError: a setting has a value that cannot be used; batch norm is one, since a batch may be a single step.
    """
    if config.norm == "batch":
        raise SettingError("norm must be one of none, layer for an on-policy method, not 'batch'.")

    def next_action(batch, greedy):
        return jnp.where(batch.truncated[:, None], greedy, batch.next_action)

    return _dpg(config, spec, actor, critic, next_action, latest)


def dpg_off_policy(config: DPGConfig, spec: Spec, actor: Network | None = None, critic: Network | None = None) -> Agent:
    """Off-policy deterministic actor-critic with a Q-learning critic, OPDAC-Q (section 4.2, eqs. 16 to 18).

    Arguments and errors as for `ddpg`; the behavior policy is `config.noise` around μ, remembered in a replay.
    """
    return _dpg(config, spec, actor, critic, lambda batch, greedy: greedy, uniform_replay)


def _dpg(
    config: DPGConfig,
    spec: Spec,
    actor: Network | None,
    critic: Network | None,
    next_action: Callable[[Transition, Array], Array],
    memory: Callable[..., Memory],
) -> Agent:
    """`next_action` chooses what the critic bootstraps from, given the batch and μ(s') [B, A]."""
    check(config)
    actor = actor or network(Actor(spec.action_size, shape(config, spec)))
    critic = critic or network(Critic(shape(config, spec)))
    obs, action = examples(spec)

    def critic_loss(params, learner, batch, key):
        greedy, _ = actor.apply_train(learner.params["actor"], batch.next_obs)  # [B, A]
        next_q, _ = critic.apply_train(learner.params["critic"], batch.next_obs, next_action(batch, greedy))  # [B]
        q, mutated = critic.apply_train(params, batch.obs, batch.action)  # [B]
        return td_loss(q, td_target(batch, next_q, config.discount)), (mutated, {"q": q.mean()})

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.apply_train(params, batch.obs)  # [B, A]
        q, _ = critic.apply_train(learner.params["critic"], batch.obs, action)  # [B]
        return -q.mean(), (mutated, {})

    def policy(learner, obs):
        return actor.apply(learner.params["actor"], obs)

    def value(learner, obs, action):
        return critic.apply(learner.params["critic"], obs, action)

    roles = {
        "critic": critic_role(config, critic, obs, action, critic_loss),
        "actor": actor_role(config, actor, obs, actor_loss),
    }
    return make_agent(config, spec, roles, policy, value, explorer(config, policy, spec.action_size), memory)
