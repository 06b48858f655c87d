"""What algorithms share: rows of the table of roles, the functions of a deterministic actor, and the finished agent.

The file of an algorithm has its losses and its table. Everything here is used by several of them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from ddpg_jax.core.learning import LearningConfig, optimizer
from ddpg_jax.core.losses import mean_output, td_target
from ddpg_jax.core.normalization import normalized
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.roles import Loss, Role, actor_critic
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Array, Explorer, Learner, Memory, Network, Spec, Transition, Variables


def target_or_online(learner: Learner, name: str) -> Variables:
    """Returns the target parameters of a role, or its online parameters where it has no target."""
    return learner.target_params.get(name, learner.params[name])


def example_inputs(spec: Spec) -> tuple[Array, Array]:
    """Returns an observation [1, *O] and an action [1, A] of zeros, to initialize networks with."""
    return jnp.zeros((1, *spec.obs_shape), spec.obs_dtype), jnp.zeros((1, spec.action_size))


def actor_role(config: LearningConfig, spec: Spec, actor: Network, loss: Loss, **columns: Any) -> Role:
    """Returns the actor's row of a table of roles; `columns` are further fields of `Role`, such as `target`."""
    obs, _ = example_inputs(spec)
    return Role(lambda key: actor.init(key, obs), loss, optimizer(config, config.actor_lr), **columns)


def critic_role(config: LearningConfig, spec: Spec, critic: Network, loss: Loss, **columns: Any) -> Role:
    """Returns the critic's row of a table of roles; `columns` are further fields of `Role`, such as `target`."""
    obs, action = example_inputs(spec)
    descent = optimizer(config, config.critic_lr, config.weight_decay)
    return Role(lambda key: critic.init(key, obs, action), loss, descent, **columns)


def greedy_policy(actor: Network) -> Callable[[Learner, Array], Array]:
    """Returns μ of the online actor as (learner, obs [..., *O]) -> action [..., A]."""

    def policy(learner, obs):
        return actor.apply(learner.params["actor"], obs)

    return policy


def q_value(critic: Network) -> Callable[[Learner, Array, Array], Array]:
    """Returns Q of the online critic as (learner, obs [..., *O], action [..., A]) -> Q [...], the mean of K outputs."""

    def value(learner, obs, action):
        return mean_output(critic.apply(learner.params["critic"], obs, action), action.ndim - 1)

    return value


def deterministic_actor_loss(actor: Network, critic: Network) -> Loss:
    """Returns the loss -mean Q(s, μ(s)), whose gradient has the form of Silver et al. 2014, equations 9 and 15.

    Q is the learned critic, and s is from the memory. Only the actor's parameters are differentiated; those of the
    online critic are constants.
    """

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.apply_train(params, batch.obs)  # [B, A]
        q, _ = critic.apply_train(learner.params["critic"], batch.obs, action)  # [B] or [B, K]
        return -q.mean(), (mutated, {})

    return actor_loss


def td_error(agent: Agent, learner: Learner, batch: Transition) -> Array:
    """Returns r + γ d Q(s', μ(s')) - Q(s, a) [B] with the present parameters, where r is the scaled reward.

    Args:
      agent, learner: the algorithm and its parameters; SAC's Q is without the entropy of the next action.
      batch: transitions [B], as they are sampled.
    """
    next_value = agent.value(learner, batch.next_obs, agent.act(learner, batch.next_obs))  # [B]
    scaled = replace(batch, reward=agent.reward_scale * batch.reward)
    return td_target(scaled, next_value, agent.discount) - agent.value(learner, batch.obs, batch.action)


def make_agent(
    config: LearningConfig,
    spec: Spec,
    roles: dict[str, Role],
    act: Callable[[Learner, Array], Array],
    value: Callable[[Learner, Array, Array], Array],
    explorer: Explorer,
    memory: Callable[..., Memory] = uniform_replay,
) -> Agent:
    """Returns the agent of a table of roles, with reward scaling and normalization of observations as in `config`.

    Args:
      config: the settings that every algorithm has.
      spec: of the environment.
      roles: the table, in the order in which roles are updated.
      act: the greedy policy, (learner, obs [..., *O]) -> action [..., A] in [-1, 1].
      value: (learner, obs [..., *O], action [..., A]) -> Q [...], in units of the scaled reward.
      explorer: chooses the actions while training.
      memory: makes the replay from which updates are sampled; see `Agent.memory`.

    Raises:
      SettingError: `normalize_obs` is on and observations are images, which networks divide by 255 themselves.
    """
    if spec.image and config.normalize_obs:
        raise SettingError("normalize_obs must be False for images, not True; networks scale them to [0, 1].")

    init, update_roles = actor_critic(roles)

    def update(learner, batch, key, update_step):
        return update_roles(learner, replace(batch, reward=config.reward_scale * batch.reward), key, update_step)

    agent = Agent(init, act, value, explorer, update, config.discount, memory, reward_scale=config.reward_scale)
    return normalized(agent, spec) if config.normalize_obs else agent
