"""Soft actor-critic (Haarnoja et al. 2018, "Soft actor-critic algorithms and applications")."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp

from ddpg_jax.core.agent import actor_role, critic_role, make_agent
from ddpg_jax.core.exploration import MakeExplorer, pink_sampling, stochastic
from ddpg_jax.core.learning import LearningConfig, TargetConfig, optimizer, target_update
from ddpg_jax.core.losses import CriticLoss, mean_output, per_output, squash, squashed, td_loss, td_target
from ddpg_jax.core.networks import GaussianActor, NetworkConfig, Norm, default_critic, ensemble, network, network_shape
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.roles import Role
from ddpg_jax.core.settings import check, configclass, other_default, setting
from ddpg_jax.core.types import Agent, Array, Memory, Network, Spec


@configclass
class SACConfig(NetworkConfig, TargetConfig, LearningConfig):
    """Settings of SAC. Floats are pytree leaves, which may be traced; all other settings are static.

    Layer norm and pink noise are not in the paper and were found by a search (benchmarks/defaults.py).
    """

    norm: Norm = other_default(NetworkConfig, "norm", default="layer")
    actor_lr: float = other_default(LearningConfig, "actor_lr", default=3e-4)
    temperature_lr: float = setting(default=3e-4, help="learning rate of the temperature α; 0: α stays fixed", low=0)
    temperature: float = setting(
        default=1.0, help="initial temperature α, the weight of the entropy", above=0, at_start=True
    )
    target_entropy: float = setting(
        default=-1.0, help="target entropy per action dimension, in nats, of actions in [-1, 1]"
    )
    noise: Literal["gaussian", "pink"] = setting(
        default="pink",
        help="how the policy is sampled while exploring: independently at each step, or with pink noise, which is "
        "correlated in time at all scales",
    )


class Critics(NamedTuple):
    """How many copies of the critic are learned, and what they are together."""

    number: int
    target: Callable[[Array], Array]  # of the target critics, [E, B] -> [B] or [E, B, K] -> [B, K'], before the entropy
    value: Callable[[Array], Array]  # Q, which the actor maximizes, of each copy's Q: [E, ...] -> [...]


TWINS = Critics(2, lambda q: q.min(axis=0), lambda q: q.min(axis=0))


def sac(
    config: SACConfig,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    critics: Critics = TWINS,
    loss: CriticLoss = td_loss,
    memory: Callable[..., Memory] = uniform_replay,
    explorer: MakeExplorer | None = None,
) -> Agent:
    """Returns a SAC agent (Haarnoja et al. 2018, Algorithm 1).

    Its three losses are in one function because they share the networks and the temperature.

    Args:
      config, spec: as for `ddpg`.
      actor: obs [..., *O] -> (mean, log of the standard deviation) [..., A] each, before the tanh; by default an MLP.
      critic: as for `ddpg`; independent copies of it are learned.
      critics: how many, and what they are together; by default two. With K outputs, the target then is the minimum of
        the two in each, and the actor's is the minimum of their means.
      loss, memory: as for `ddpg`.
      explorer: as for `ddpg`; by default the actions are samples of the policy, as `config.noise` says.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor = actor or network(GaussianActor(spec.action_size, network_shape(config, spec)))
    copies = ensemble(critic or default_critic(config, spec), critics.number)
    target_entropy = config.target_entropy * spec.action_size

    def sample(learner, obs, key):
        return squash(key, *actor.apply(learner.params["actor"], obs))  # [..., A], log π [...]

    def pink_sample(learner, obs, noise):
        return squashed(noise, *actor.apply(learner.params["actor"], obs))[0]  # [N, A]

    def alpha(learner):
        return jnp.exp(learner.params["temperature"]["params"])

    def critic_loss(params, learner, batch, key):
        distribution, _ = actor.apply_train(learner.params["actor"], batch.next_obs)
        next_action, next_log_prob = squash(key, *distribution)  # [B, A], [B]
        target_params = learner.target_params["critic"]
        next_q, _ = copies.apply_train(target_params, batch.next_obs, next_action)  # [E, B] or [E, B, K]
        next_q = critics.target(next_q)  # [B] or [B, K']
        next_value = next_q - per_output(alpha(learner) * next_log_prob, next_q)
        q, mutated = copies.apply_train(params, batch.obs, batch.action)  # [E, B] or [E, B, K]
        target = td_target(batch, next_value, config.discount)
        return loss(q, target, batch.weight), (mutated, {"q": q.mean()})

    def actor_loss(params, learner, batch, key):
        distribution, mutated = actor.apply_train(params, batch.obs)
        action, log_prob = squash(key, *distribution)  # [B, A], [B]
        q, _ = copies.apply_train(learner.params["critic"], batch.obs, action)  # [E, B] or [E, B, K]
        q = critics.value(mean_output(q, 2))  # [B]
        return (alpha(learner) * log_prob - q).mean(), (mutated, {"entropy": -log_prob.mean()})

    def temperature_loss(params, learner, batch, key):
        distribution, _ = actor.apply_train(learner.params["actor"], batch.obs)
        _, log_prob = squash(key, *distribution)  # [B]
        temperature = jnp.exp(params["params"])
        return -temperature * (log_prob + target_entropy).mean(), ({}, {"alpha": temperature})

    def policy(learner, obs):
        return jnp.tanh(actor.apply(learner.params["actor"], obs)[0])

    def value(learner, obs, action):
        return critics.value(mean_output(copies.apply(learner.params["critic"], obs, action), action.ndim))

    roles = {
        "critic": critic_role(config, spec, copies, critic_loss, target=target_update(config)),
        "actor": actor_role(config, spec, actor, actor_loss),
        "temperature": Role(
            init=lambda key: {"params": jnp.log(jnp.asarray(config.temperature, jnp.float32))},
            loss=temperature_loss,
            optimizer=optimizer(config, config.temperature_lr),
        ),
    }
    sampling = pink_sampling(pink_sample, spec.action_size) if config.noise == "pink" else stochastic(sample)
    exploring = explorer(config, policy, spec.action_size) if explorer else sampling
    return make_agent(config, spec, roles, policy, value, exploring, memory)
