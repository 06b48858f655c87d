"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, "Addressing function approximation error in
actor-critic methods").
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ddpg_jax.core.agent import (
    actor_role,
    critic_role,
    deterministic_actor_loss,
    greedy_policy,
    make_agent,
    q_value,
)
from ddpg_jax.core.exploration import MakeExplorer, NoiseConfig, explorer
from ddpg_jax.core.learning import LearningConfig, TargetConfig, target_update
from ddpg_jax.core.losses import CriticLoss, td_loss, td_target
from ddpg_jax.core.networks import NetworkConfig, Norm, default_actor, default_critic, ensemble, first_member
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.settings import check, configclass, other_default, setting
from ddpg_jax.core.types import Agent, Memory, Network, Spec


@configclass
class TD3Config(NoiseConfig, NetworkConfig, TargetConfig, LearningConfig):
    """Settings of TD3. Floats are pytree leaves, which may be traced; all other settings are static.

    Layer norm and an actor that learns more slowly than the critic are not in the paper; docs/results.md says why they
    are the defaults.
    """

    actor_lr: float = other_default(LearningConfig, "actor_lr", default=3e-4)
    norm: Norm = other_default(NetworkConfig, "norm", default="layer")
    target_noise: float = setting(
        default=0.2,
        help="σ of the noise on the target action, relative to the action range [-1, 1]",
        low=0,
        high=1_000_000,
    )
    target_noise_clip: float = setting(
        default=0.5,
        help="bound on the noise on the target action, relative to the action range [-1, 1]",
        low=0,
        high=1_000_000,
    )
    policy_delay: int = setting(default=2, help="critic updates per update of the actor and of the targets", low=1)


def td3(
    config: TD3Config,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    loss: CriticLoss = td_loss,
    memory: Callable[..., Memory] = uniform_replay,
    explorer: MakeExplorer = explorer,
) -> Agent:
    """Returns a TD3 agent (Fujimoto et al. 2018, Algorithm 1).

    Args:
      config, spec, actor: as for `ddpg`.
      critic: as for `ddpg`; two independent copies of it are learned. With K outputs, the target is the minimum of the
        two in each.
      loss, memory, explorer: as for `ddpg`.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor, critic = actor or default_actor(config, spec), critic or default_critic(config, spec)
    twins, first, policy = ensemble(critic, 2), first_member(critic), greedy_policy(actor)

    def critic_loss(params, learner, batch, key):
        noise = config.target_noise * jax.random.normal(key, batch.action.shape)
        noise = jnp.clip(noise, -config.target_noise_clip, config.target_noise_clip)
        next_action, _ = actor.apply_train(learner.target_params["actor"], batch.next_obs)  # [B, A]
        next_action = jnp.clip(next_action + noise, -1.0, 1.0)
        target_params = learner.target_params["critic"]
        next_q, _ = twins.apply_train(target_params, batch.next_obs, next_action)  # [2, B] or [2, B, K]
        q, mutated = twins.apply_train(params, batch.obs, batch.action)  # [2, B] or [2, B, K]
        target = td_target(batch, next_q.min(axis=0), config.discount)
        return loss(q, target, batch.weight), (mutated, {"q": q.mean()})

    actor_loss, target = deterministic_actor_loss(actor, first), target_update(config)
    roles = {
        "critic": critic_role(config, spec, twins, critic_loss, target=target),
        "actor": actor_role(config, spec, actor, actor_loss, every=config.policy_delay, target=target),
    }
    return make_agent(config, spec, roles, policy, q_value(first), explorer(config, policy, spec.action_size), memory)
