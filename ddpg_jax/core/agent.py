"""What the algorithms share: settings of learning, rows of the table of roles, and the finished agent.

An algorithm of its own file has its losses and its table. Everything here is used by several of them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.normalization import normalized
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.roles import Loss, Role, Target, actor_critic, periodic, polyak
from ddpg_jax.core.settings import SettingError, configclass, setting
from ddpg_jax.core.types import Agent, Array, Explorer, Learner, Memory, Network, Spec, Variables


@configclass
class LearningConfig:
    """How the roles of every algorithm learn."""

    actor_lr: float = setting(default=1e-3, help="learning rate of the actor", low=0)
    critic_lr: float = setting(default=1e-3, help="learning rate of the critic", low=0)
    optimizer: Literal["adam", "sgd"] = setting(default="adam", help="optimizer of all networks")
    weight_decay: float | None = setting(
        default=None,
        help="L2 penalty on the critic's kernels, added before Adam; none: no penalty",
        low=0,
    )
    clip_norm: float | None = setting(
        default=None, help="largest global norm of a network's gradient; none: no clipping", low=0
    )
    discount: float = setting(default=0.99, help="discount factor γ per action", low=0, high=1)
    reward_scale: float = setting(default=1.0, help="factor on the rewards that the critic learns from")
    normalize_obs: bool = setting(
        default=False, help="normalize observations to mean 0 and variance 1 by running statistics"
    )


@configclass
class TargetConfig:
    """How target networks follow the online networks."""

    tau: float = setting(
        default=0.005, help="Polyak rate τ of the target networks: θ' <- τ θ + (1 - τ) θ'", low=0, high=1
    )
    target_update: Literal["polyak", "periodic"] = setting(
        default="polyak", help="polyak: targets follow by tau; periodic: targets are copied every target_period updates"
    )
    target_period: int = setting(
        default=200, help="updates between two copies under periodic (of the actor, where it is delayed)", low=1
    )


def target_update(config: TargetConfig) -> Target:
    """Returns the rule that `config.target_update` names."""
    return {"polyak": polyak(config.tau), "periodic": periodic(config.target_period)}[config.target_update]


def target_or_online(learner: Learner, name: str) -> Variables:
    """Returns the target parameters of a role, or its online parameters where it has no target."""
    return learner.target_params.get(name, learner.params[name])


def optimizer(config: LearningConfig, lr: Array | float, weight_decay: Any = None) -> optax.GradientTransformation:
    """Returns Adam (Kingma and Ba 2015) or SGD, after clipping by global norm and an L2 penalty on the kernels.

    Args:
      config: names the optimizer and the clipping.
      lr: learning rate; may be traced.
      weight_decay: factor of the L2 penalty; None: no penalty.
    """
    steps = []
    if config.clip_norm is not None:
        steps.append(optax.clip_by_global_norm(config.clip_norm))
    if weight_decay is not None:
        steps.append(optax.add_decayed_weights(weight_decay, mask=_kernels))
    descent = {"adam": optax.adam, "sgd": optax.sgd}[config.optimizer](lr)
    return optax.chain(*steps, descent) if steps else descent


def _kernels(params: Variables) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: getattr(path[-1], "key", None) == "kernel", params)


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
    """Returns Q of the online critic as (learner, obs [..., *O], action [..., A]) -> Q [...]."""

    def value(learner, obs, action):
        return critic.apply(learner.params["critic"], obs, action)

    return value


def deterministic_actor_loss(actor: Network, critic: Network) -> Loss:
    """Returns the loss -mean Q(s, μ(s)), whose gradient is that of Silver et al. 2014, Theorem 1.

    Only the actor's parameters are differentiated; those of the online critic are constants.
    """

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.apply_train(params, batch.obs)  # [B, A]
        q, _ = critic.apply_train(learner.params["critic"], batch.obs, action)  # [B]
        return -q.mean(), (mutated, {})

    return actor_loss


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

    agent = Agent(init, act, value, explorer, update, config.discount, memory)
    return normalized(agent, spec) if config.normalize_obs else agent
