"""What every algorithm asks of its settings alike: how a role descends, how targets follow, and the finished agent."""

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
    """How roles descend, and on what; shared by every algorithm."""

    actor_lr: float = setting(default=1e-3, help="step size of the actor", low=0)
    critic_lr: float = setting(default=1e-3, help="step size of the critic", low=0)
    optimizer: Literal["adam", "sgd"] = setting(default="adam", help="how all roles descend")
    weight_decay: float | None = setting(default=None, help="L2 decay of the critic's kernels, before Adam", low=0)
    clip_norm: float | None = setting(default=None, help="greatest global norm of a role's gradient", low=0)
    discount: float = setting(default=0.99, help="discount γ per decision", low=0, high=1)
    reward_scale: float = setting(default=1.0, help="factor on every reward that is learned from")
    normalize_obs: bool = setting(default=False, help="bring observations to mean 0, variance 1; stored ones stay raw")


@configclass
class TargetConfig:
    """How target networks follow, where an algorithm has any."""

    tau: float = setting(
        default=0.005, help="share of the online parameters that enters the targets, per gradient step", low=0, high=1
    )
    target_update: Literal["polyak", "periodic"] = setting(
        default="polyak", help="how targets follow: by tau, or as a copy every target_period"
    )
    target_period: int = setting(default=200, help="steps of the slowest role between two copies under periodic", low=1)


def target_update(config: TargetConfig) -> Target:
    """The way of following that `config.target_update` names."""
    return {"polyak": polyak(config.tau), "periodic": periodic(config.target_period)}[config.target_update]


def optimizer(config: LearningConfig, lr: Array | float, decay: Any = None) -> optax.GradientTransformation:
    """Clipping, L2 decay of the kernels, then Adam (Kingma and Ba 2015) or plain gradient steps."""
    steps = []
    if config.clip_norm is not None:
        steps.append(optax.clip_by_global_norm(config.clip_norm))
    if decay is not None:
        steps.append(optax.add_decayed_weights(decay, mask=_kernels))
    descent = {"adam": optax.adam, "sgd": optax.sgd}[config.optimizer](lr)
    return optax.chain(*steps, descent) if steps else descent


def _kernels(params: Variables) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: getattr(path[-1], "key", None) == "kernel", params)


def actor_role(config: LearningConfig, actor: Network, obs: Array, loss: Loss, **columns: Any) -> Role:
    """The actor's row of a table; `obs` [1, *O] is an example, `columns` are further ones of `Role`."""
    return Role(lambda key: actor.init(key, obs), loss, optimizer(config, config.actor_lr), **columns)


def critic_role(config: LearningConfig, critic: Network, obs: Array, action: Array, loss: Loss, **columns: Any) -> Role:
    """The critic's row; arguments as for `actor_role`, with an example `action` [1, A]."""
    descent = optimizer(config, config.critic_lr, config.weight_decay)
    return Role(lambda key: critic.init(key, obs, action), loss, descent, **columns)


def examples(spec: Spec) -> tuple[Array, Array]:
    """An observation [1, *O] and an action [1, A] to initialize networks with; normalized or not, both are alike."""
    return jnp.zeros((1, *spec.obs_shape), spec.obs_dtype), jnp.zeros((1, spec.action_size))


def target_or_online(learner: Learner, name: str) -> Variables:
    """The target parameters of a role, or its own where it has none."""
    return learner.target_params.get(name, learner.params[name])


def make_agent(
    config: LearningConfig,
    spec: Spec,
    roles: dict[str, Role],
    act: Callable[[Learner, Array], Array],
    value: Callable[[Learner, Array, Array], Array],
    explorer: Explorer,
    memory: Callable[..., Memory] = uniform_replay,
) -> Agent:
    """From an algorithm's table to an agent: what `config` asks of every algorithm alike.

    Args:
      roles: the table, in the order of its steps.
      act: the greedy policy, (learner, obs [..., *O]) -> [..., A].
      value: (learner, obs [..., *O], action [..., A]) -> Q [...], in units of the scaled reward.
      explorer, memory: how data is gathered, and which of it an update sees.

    Raises:
      SettingError: images are to be normalized, which networks bring to [0, 1] themselves.
    """
    if spec.image and config.normalize_obs:
        raise SettingError("normalize_obs must be False for images, not True; networks bring them to [0, 1].")

    init, descend_all = actor_critic(roles)

    def update(learner, batch, key, update_step):
        return descend_all(learner, replace(batch, reward=config.reward_scale * batch.reward), key, update_step)

    agent = Agent(init, act, value, explorer, update, config.discount, memory)
    return normalized(agent, spec) if config.normalize_obs else agent
