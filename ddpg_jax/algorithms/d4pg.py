"""DDPG whose critic predicts the distribution of the return (Barth-Maron et al. 2018, "Distributed distributional
deterministic policy gradients"), with a categorical one (Bellemare et al. 2017) and uniform replay.

Its returns over several steps are `LoopConfig.n_step`, its many actors `LoopConfig.num_envs`.
"""

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
from ddpg_jax.core.losses import cross_entropy, projected, td_target
from ddpg_jax.core.networks import Actor, Critic, NetworkConfig, network, shape
from ddpg_jax.core.settings import SettingError, check, configclass, setting
from ddpg_jax.core.types import Agent, Network, Spec


@configclass
class D4PGConfig(NoiseConfig, NetworkConfig, TargetConfig, LearningConfig):
    """Settings of D4PG; floats are pytree leaves, the rest shapes the program."""

    atoms: int = setting(default=51, help="returns that the critic gives a probability each", low=2)
    value_low: float = setting(default=-100.0, help="the least of them, of the scaled and discounted reward")
    value_high: float = setting(default=100.0, help="the greatest of them")


def d4pg(config: D4PGConfig, spec: Spec, actor: Network | None = None, critic: Network | None = None) -> Agent:
    """D4PG for environments of this `spec` (Barth-Maron et al. 2018, Algorithm 1, without priorities).

    Args:
      critic: (obs [..., *O], action [..., A]) -> logits [..., K] of K = `config.atoms` returns.
      config, spec, actor: as for `ddpg`.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    _check_order(config)
    actor = actor or network(Actor(spec.action_size, shape(config, spec)))
    critic = critic or network(Critic(shape(config, spec), config.atoms))
    obs, action = examples(spec)
    support = jnp.linspace(config.value_low, config.value_high, config.atoms)  # [K]

    def mean(logits):
        return jax.nn.softmax(logits) @ support

    def critic_loss(params, learner, batch, key):
        next_action, _ = actor.apply_train(learner.target_params["actor"], batch.next_obs)  # [B, A]
        next_logits, _ = critic.apply_train(learner.target_params["critic"], batch.next_obs, next_action)  # [B, K]
        landed = jax.vmap(lambda atom: td_target(batch, atom, config.discount), out_axes=1)(support)  # [B, K]
        target = projected(landed, jax.nn.softmax(next_logits), support)
        logits, mutated = critic.apply_train(params, batch.obs, batch.action)  # [B, K]
        return cross_entropy(logits, target), (mutated, {"q": mean(logits).mean()})

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.apply_train(params, batch.obs)  # [B, A]
        logits, _ = critic.apply_train(learner.params["critic"], batch.obs, action)  # [B, K]
        return -mean(logits).mean(), (mutated, {})

    def policy(learner, obs):
        return actor.apply(learner.params["actor"], obs)

    def value(learner, obs, action):
        return mean(critic.apply(learner.params["critic"], obs, action))

    roles = {
        "critic": critic_role(config, critic, obs, action, critic_loss, target=target_update(config)),
        "actor": actor_role(config, actor, obs, actor_loss, target=target_update(config)),
    }
    return make_agent(config, spec, roles, policy, value, explorer(config, policy, spec.action_size))


def _check_order(config: D4PGConfig) -> None:
    low, high = config.value_low, config.value_high
    if not any(isinstance(bound, jax.core.Tracer) for bound in (low, high)) and not jnp.all(jnp.less(low, high)):
        raise SettingError(f"value_low must be below value_high ({high}), not {low}.")
