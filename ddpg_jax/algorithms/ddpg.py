"""Deep deterministic policy gradient (Lillicrap et al. 2016, "Continuous control with deep reinforcement learning")."""

from collections.abc import Callable

from ddpg_jax.core.agent import (
    actor_role,
    critic_role,
    deterministic_actor_loss,
    greedy_policy,
    make_agent,
    q_value,
    target_or_online,
)
from ddpg_jax.core.exploration import MakeExplorer, NoiseConfig, explorer
from ddpg_jax.core.learning import LearningConfig, TargetConfig, target_update
from ddpg_jax.core.losses import CriticLoss, td_loss, td_target
from ddpg_jax.core.networks import NetworkConfig, Norm, default_actor, default_critic
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.settings import check, configclass, other_default, setting
from ddpg_jax.core.types import Agent, Memory, Network, Spec


@configclass
class DDPGConfig(NoiseConfig, NetworkConfig, TargetConfig, LearningConfig):
    """Settings of DDPG. Floats are pytree leaves, which may be traced; all other settings are static.

    Layer norm and an actor that learns more slowly than the critic are not in the paper and were found by a search
    (benchmarks/defaults.py).
    """

    actor_lr: float = other_default(LearningConfig, "actor_lr", default=3e-4)
    norm: Norm = other_default(NetworkConfig, "norm", default="layer")

    target_actor: bool = setting(default=True, help="bootstrap through a target actor; false: through the online actor")


def ddpg(
    config: DDPGConfig,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    loss: CriticLoss = td_loss,
    memory: Callable[..., Memory] = uniform_replay,
    explorer: MakeExplorer = explorer,
) -> Agent:
    """Returns a DDPG agent (Lillicrap et al. 2016, Algorithm 1).

    Args:
      config: settings; any float may be traced or batched under `jax.vmap`.
      spec: of the environment, `make_env(...).spec`.
      actor: μ, obs [..., *O] -> action [..., A] in [-1, 1]; by default an MLP with tanh at the end.
      critic: (obs [..., *O], action [..., A]) -> Q [...], or K outputs [..., K] whose mean is Q; by default an MLP.
      loss: the critic's, one of `td_loss`, `huber_loss` and `quantile_huber_loss` or your own with their signature.
      memory: makes the replay, such as `uniform_replay` or `prioritized_replay`; see `Agent.memory`.
      explorer: (config, policy, action_size) -> `Explorer`; by default the one that `config.noise` names.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor, critic = actor or default_actor(config, spec), critic or default_critic(config, spec)
    target_rule, policy = target_update(config), greedy_policy(actor)

    def critic_loss(params, learner, batch, key):
        next_action, _ = actor.apply_train(target_or_online(learner, "actor"), batch.next_obs)  # [B, A]
        next_q, _ = critic.apply_train(learner.target_params["critic"], batch.next_obs, next_action)  # [B] or [B, K]
        q, mutated = critic.apply_train(params, batch.obs, batch.action)  # [B] or [B, K]
        target = td_target(batch, next_q, config.discount)
        return loss(q, target, batch.weight), (mutated, {"q": q.mean()})

    actor_loss = deterministic_actor_loss(actor, critic)
    roles = {
        "critic": critic_role(config, spec, critic, critic_loss, target=target_rule),
        "actor": actor_role(config, spec, actor, actor_loss, target=target_rule if config.target_actor else None),
    }
    exploring = explorer(config, policy, spec.action_size)
    return make_agent(config, spec, roles, policy, q_value(critic), exploring, memory)
