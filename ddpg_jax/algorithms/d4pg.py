"""D4PG: DDPG with a distributional critic (Barth-Maron et al. 2018, "Distributed distributional deterministic policy
gradients").

The critic is categorical (Bellemare et al. 2017, "A distributional perspective on reinforcement learning") and the
replay is uniform by default. For what the paper adds: prioritized replay is `prioritized_replay` (with `beta=1`, if the
weights are to correct for it fully), n-step returns are `LoopConfig.n_step`, parallel actors `LoopConfig.num_envs`.
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
from ddpg_jax.core.losses import CriticLoss, categorical_projection, cross_entropy, td_target
from ddpg_jax.core.networks import NetworkConfig, default_actor, default_critic, with_output
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.settings import check, configclass, setting
from ddpg_jax.core.types import Agent, Memory, Network, Spec


@configclass
class D4PGConfig(NoiseConfig, NetworkConfig, TargetConfig, LearningConfig):
    """Settings of D4PG. Floats are pytree leaves, which may be traced; all other settings are static."""

    atoms: int = setting(default=51, help="number of atoms of the critic's categorical distribution", low=2)
    value_low: float = setting(
        default=-100.0, help="lowest atom: the lowest discounted return of scaled rewards", low=-1e38
    )
    value_high: float = setting(
        default=100.0,
        help="highest atom: the highest discounted return of scaled rewards",
        above="value_low",
        high=1e38,  # so that the difference of the two is finite in float32
    )


def d4pg(
    config: D4PGConfig,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    loss: CriticLoss = cross_entropy,
    memory: Callable[..., Memory] = uniform_replay,
    explorer: MakeExplorer = explorer,
) -> Agent:
    """Returns a D4PG agent (Barth-Maron et al. 2018, Algorithm 1, by default without prioritized replay).

    Args:
      config, spec, actor: as for `ddpg`.
      critic: (obs [..., *O], action [..., A]) -> logits [..., K] of K = `config.atoms` returns; by default an MLP.
      loss: (logits [B, K], the target's probabilities [B, K], weight [B] or None) -> [].
      memory, explorer: as for `ddpg`.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor, critic = actor or default_actor(config, spec), critic or default_critic(config, spec, config.atoms)
    target, policy = target_update(config), greedy_policy(actor)
    support = jnp.linspace(config.value_low, config.value_high, config.atoms)  # [K]

    def mean(logits):
        return jax.nn.softmax(logits) @ support

    expected = with_output(critic, mean)  # Q

    def critic_loss(params, learner, batch, key):
        next_action, _ = actor.apply_train(learner.target_params["actor"], batch.next_obs)  # [B, A]
        next_logits, _ = critic.apply_train(learner.target_params["critic"], batch.next_obs, next_action)  # [B, K]
        atoms = jnp.broadcast_to(support[:, None], (config.atoms, len(batch.reward)))  # [K, B]
        next_atoms = jax.vmap(td_target, in_axes=(None, 0, None), out_axes=1)(batch, atoms, config.discount)  # [B, K]
        next_probability = categorical_projection(next_atoms, jax.nn.softmax(next_logits), support)  # [B, K]
        logits, mutated = critic.apply_train(params, batch.obs, batch.action)  # [B, K]
        return loss(logits, next_probability, batch.weight), (mutated, {"q": mean(logits).mean()})

    roles = {
        "critic": critic_role(config, spec, critic, critic_loss, target=target),
        "actor": actor_role(config, spec, actor, deterministic_actor_loss(actor, expected), target=target),
    }
    explores = explorer(config, policy, spec.action_size)
    return make_agent(config, spec, roles, policy, q_value(expected), explores, memory)
