"""Deep deterministic policy gradient (Lillicrap et al. 2016, "Continuous control with deep reinforcement learning")."""

from ddpg_jax.core.agent import (
    LearningConfig,
    TargetConfig,
    actor_role,
    critic_role,
    examples,
    make_agent,
    target_or_online,
    target_update,
)
from ddpg_jax.core.exploration import NoiseConfig, explorer
from ddpg_jax.core.losses import td_loss, td_target
from ddpg_jax.core.networks import Actor, Critic, NetworkConfig, network, shape
from ddpg_jax.core.settings import check, configclass, setting
from ddpg_jax.core.types import Agent, Network, Spec


@configclass
class DDPGConfig(NoiseConfig, NetworkConfig, TargetConfig, LearningConfig):
    """Settings of DDPG in its modern form; floats are pytree leaves, the rest shapes the program."""

    target_actor: bool = setting(default=True, help="bootstrap through a slow copy of the actor, not the actor itself")


def ddpg(config: DDPGConfig, spec: Spec, actor: Network | None = None, critic: Network | None = None) -> Agent:
    """DDPG for environments of this `spec` (Lillicrap et al. 2016, Algorithm 1).

    Args:
      config: settings; any float may be traced or batched under `jax.vmap`.
      spec: `make_env(...).spec`.
      actor: μ, obs [..., *O] -> action [..., A] in [-1, 1]; by default an MLP with tanh at the end.
      critic: Q, (obs [..., *O], action [..., A]) -> [...]; by default an MLP.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor = actor or network(Actor(spec.action_size, shape(config, spec)))
    critic = critic or network(Critic(shape(config, spec)))
    obs, action = examples(spec)

    def critic_loss(params, learner, batch, key):
        next_action, _ = actor.apply_train(target_or_online(learner, "actor"), batch.next_obs)  # [B, A]
        next_q, _ = critic.apply_train(target_or_online(learner, "critic"), batch.next_obs, next_action)  # [B]
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
        "critic": critic_role(config, critic, obs, action, critic_loss, target=target_update(config)),
        "actor": actor_role(
            config, actor, obs, actor_loss, target=target_update(config) if config.target_actor else None
        ),
    }
    return make_agent(config, spec, roles, policy, value, explorer(config, policy, spec.action_size))
