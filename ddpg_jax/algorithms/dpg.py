"""Deterministic policy gradient (Silver et al. 2014, "Deterministic policy gradient algorithms"), sections 4.1 and 4.2.

There are no target networks: the critic bootstraps from its own online parameters, which are constants in the target.
"""

from collections.abc import Callable

import jax.numpy as jnp

from ddpg_jax.core.agent import actor_role, critic_role, deterministic_actor_loss, greedy_policy, make_agent, q_value
from ddpg_jax.core.exploration import MakeExplorer, NoiseConfig, explorer
from ddpg_jax.core.learning import LearningConfig
from ddpg_jax.core.losses import CriticLoss, td_loss, td_target
from ddpg_jax.core.networks import NetworkConfig, default_actor, default_critic
from ddpg_jax.core.replay import latest, uniform_replay
from ddpg_jax.core.settings import SettingError, check, configclass
from ddpg_jax.core.types import Agent, Array, Memory, Network, Spec, Transition


@configclass
class DPGConfig(NoiseConfig, NetworkConfig, LearningConfig):
    """Settings of DPG. Floats are pytree leaves, which may be traced; all other settings are static."""


def dpg_on_policy(
    config: DPGConfig,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    loss: CriticLoss = td_loss,
    explorer: MakeExplorer = explorer,
) -> Agent:
    """Returns an on-policy deterministic actor-critic agent with a Sarsa critic (Silver et al. 2014, eqs. 11 to 13).

    An update sees the N transitions before the newest ones, with the actions that were executed after them, whatever
    `batch_size` and `replay_capacity` are. A time limit leaves no such action, and μ(s') takes its place.

    Args:
      config, spec, actor, critic, loss, explorer: as for `ddpg`.

    Raises:
      SettingError: a setting has a value that cannot be used; batch norm is one, since a batch may be a single step.
    """
    if config.norm == "batch":
        raise SettingError("norm must be one of none, layer for an on-policy method, not 'batch'.")

    def executed_action(batch, greedy_action):
        return jnp.where(batch.truncated[:, None], greedy_action, batch.next_action)

    return _dpg(config, spec, actor, critic, executed_action, loss, latest, explorer)


def dpg_off_policy(
    config: DPGConfig,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    loss: CriticLoss = td_loss,
    memory: Callable[..., Memory] = uniform_replay,
    explorer: MakeExplorer = explorer,
) -> Agent:
    """Returns an off-policy deterministic actor-critic agent with a Q-learning critic (OPDAC, eqs. 16 to 18).

    The behavior policy is μ plus the noise that `config.noise` names; updates sample from a uniform replay.

    Args:
      config, spec, actor, critic, loss, memory, explorer: as for `ddpg`.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """

    def greedy(batch, greedy_action):
        return greedy_action

    return _dpg(config, spec, actor, critic, greedy, loss, memory, explorer)


def _dpg(
    config: DPGConfig,
    spec: Spec,
    actor: Network | None,
    critic: Network | None,
    bootstrap_action: Callable[[Transition, Array], Array],
    loss: CriticLoss,
    memory: Callable[..., Memory],
    explorer: MakeExplorer,
) -> Agent:
    """Returns the agent whose critic bootstraps from Q(s', bootstrap_action(batch, μ(s') [B, A]))."""
    check(config)
    actor, critic = actor or default_actor(config, spec), critic or default_critic(config, spec)
    policy = greedy_policy(actor)

    def critic_loss(params, learner, batch, key):
        greedy_action, _ = actor.apply_train(learner.params["actor"], batch.next_obs)  # [B, A]
        next_action = bootstrap_action(batch, greedy_action)  # [B, A]
        next_q, _ = critic.apply_train(learner.params["critic"], batch.next_obs, next_action)  # [B] or [B, K]
        q, mutated = critic.apply_train(params, batch.obs, batch.action)  # [B] or [B, K]
        target = td_target(batch, next_q, config.discount)
        return loss(q, target, batch.weight), (mutated, {"q": q.mean()})

    roles = {
        "critic": critic_role(config, spec, critic, critic_loss),
        "actor": actor_role(config, spec, actor, deterministic_actor_loss(actor, critic)),
    }
    return make_agent(config, spec, roles, policy, q_value(critic), explorer(config, policy, spec.action_size), memory)
