"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, "Addressing function approximation error")."""

import jax
import jax.numpy as jnp

from ddpg_jax.core.agent import (
    LearningConfig,
    TargetConfig,
    actor_role,
    critic_role,
    examples,
    make_agent,
    target_update,
)
from ddpg_jax.core.exploration import NoiseConfig, explorer
from ddpg_jax.core.losses import td_loss, td_target
from ddpg_jax.core.networks import Actor, Critic, NetworkConfig, ensemble, network, shape
from ddpg_jax.core.settings import check, configclass, setting
from ddpg_jax.core.types import Agent, Network, Spec


@configclass
class TD3Config(NoiseConfig, NetworkConfig, TargetConfig, LearningConfig):
    """Settings of TD3; floats are pytree leaves, the rest shapes the program."""

    target_noise: float = setting(default=0.2, help="σ of the noise on the target action, in half-ranges", low=0)
    target_noise_clip: float = setting(default=0.5, help="bound c of the noise on the target action", low=0)
    policy_delay: int = setting(default=2, help="critic updates per update of the actor and the targets", low=1)


def td3(config: TD3Config, spec: Spec, actor: Network | None = None, critic: Network | None = None) -> Agent:
    """TD3 for environments of this `spec` (Fujimoto et al. 2018, Algorithm 1).

    Args: as for `ddpg`; `critic` is one of the two.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor = actor or network(Actor(spec.action_size, shape(config, spec)))
    critic = critic or network(Critic(shape(config, spec)))
    twins = ensemble(critic, 2)
    obs, action = examples(spec)

    def first(learner):
        return jax.tree.map(lambda leaf: leaf[0], learner.params["critic"])

    def value(learner, obs, action):
        return critic.apply(first(learner), obs, action)

    def critic_loss(params, learner, batch, key):
        noise = config.target_noise * jax.random.normal(key, batch.action.shape)
        noise = jnp.clip(noise, -config.target_noise_clip, config.target_noise_clip)
        next_action, _ = actor.apply_train(learner.target_params["actor"], batch.next_obs)  # [B, A]
        next_action = jnp.clip(next_action + noise, -1.0, 1.0)
        next_q, _ = twins.apply_train(learner.target_params["critic"], batch.next_obs, next_action)  # [2, B]
        q, mutated = twins.apply_train(params, batch.obs, batch.action)  # [2, B]
        return td_loss(q, td_target(batch, next_q.min(axis=0), config.discount)), (mutated, {"q": q.mean()})

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.apply_train(params, batch.obs)  # [B, A]
        q, _ = critic.apply_train(first(learner), batch.obs, action)  # [B]
        return -q.mean(), (mutated, {})

    def policy(learner, obs):
        return actor.apply(learner.params["actor"], obs)

    roles = {
        "critic": critic_role(config, twins, obs, action, critic_loss, target=target_update(config)),
        "actor": actor_role(config, actor, obs, actor_loss, every=config.policy_delay, target=target_update(config)),
    }
    return make_agent(config, spec, roles, policy, value, explorer(config, policy, spec.action_size))
