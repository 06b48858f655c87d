"""Compatible off-policy deterministic actor-critic (Silver et al. 2014, section 4.3): COPDAC-Q, COPDAC-GQ.

The critic is Qʷ(s, a) = (a - μ(s))ᵀ ∇θμ(s)ᵀ w + Vᵛ(s). By its form it satisfies the first condition of Theorem 3:
∇a Qʷ at a = μ(s) is ∇θμ(s)ᵀ w. The second, that w is the least-squares fit of this gradient to that of the true Q,
holds only approximately, since w is learned by Q-learning, as in the paper. The actor's loss is -Q(s, μ(s)) as in
DDPG, where only the policy that acts is differentiated and the μ inside the critic is a constant.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.agent import actor_role, example_inputs, greedy_policy, make_agent
from ddpg_jax.core.exploration import NoiseConfig, explorer
from ddpg_jax.core.learning import LearningConfig, optimizer
from ddpg_jax.core.losses import td_loss, td_target
from ddpg_jax.core.networks import NetworkConfig, default_actor, default_critic
from ddpg_jax.core.roles import Role
from ddpg_jax.core.settings import check, configclass, other_default, setting
from ddpg_jax.core.types import Agent, Array, Key, Learner, Network, Spec, Transition, Variables


@configclass
class COPDACConfig(NoiseConfig, NetworkConfig, LearningConfig):
    """Settings of COPDAC. Floats are pytree leaves, which may be traced; all other settings are static.

    The critic is linear in the action, so by default the actor learns more slowly than w, and exploration is wider than
    in DDPG. Without layer norm the features ∇θμ(s) differ too much in size for one learning rate.
    """

    actor_lr: float = other_default(LearningConfig, "actor_lr", default=3e-5)
    noise_scale: float = other_default(NoiseConfig, "noise_scale", default=0.3)
    norm: Literal["none", "layer"] = setting(default="layer", help="normalization: layer norm in every hidden layer")
    correction_lr: float = setting(
        default=1e-3, help="learning rate of the gradient-TD weights u (COPDAC-GQ only)", low=0
    )


def copdac_q(config: COPDACConfig, spec: Spec, actor: Network | None = None, value: Network | None = None) -> Agent:
    """Returns a COPDAC-Q agent, whose compatible critic learns by Q-learning (Silver et al. 2014, eqs. 19 to 22).

    Args:
      config, spec: as for `ddpg`.
      actor: as for `ddpg`, without running statistics (no batch norm).
      value: the baseline V, obs [..., *O] -> [...]; by default an MLP.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    critic = _compatible_critic(config, spec, actor, value)

    def critic_loss(params, learner, batch, key):
        q = critic.q(params, learner, batch.obs, batch.action)  # [B]
        return td_loss(q, critic.target(learner, batch)), ({}, {"q": q.mean()})

    roles = {"critic": Role(critic.init, critic_loss, optimizer(config, config.critic_lr, config.weight_decay))}
    return _make_agent(config, spec, critic, roles)


def copdac_gq(config: COPDACConfig, spec: Spec, actor: Network | None = None, value: Network | None = None) -> Agent:
    """Returns a COPDAC-GQ agent, whose compatible critic learns by gradient Q-learning (eqs. 23 to 27).

    The weights u cover the features of V as well, whose curvature is neglected where V is not linear. Gradients are
    those of a squared error, twice the paper's.

    Args:
      config, spec, actor, value: as for `copdac_q`.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    critic = _compatible_critic(config, spec, actor, value)

    def critic_loss(params, learner, batch, key):
        q = critic.q(params, learner, batch.obs, batch.action)  # [B]
        along_u = _along_features(critic, learner.params["correction"], learner, batch)  # [B]
        correction = config.discount * batch.discount * along_u * critic.next_q(params, learner, batch)
        return td_loss(q, critic.target(learner, batch)) + 2 * correction.mean(), ({}, {"q": q.mean()})

    def correction_loss(params, learner, batch, key):
        q = critic.q(learner.params["critic"], learner, batch.obs, batch.action)  # [B]
        td_error = critic.target(learner, batch) - q
        return td_loss(_along_features(critic, params, learner, batch), td_error), ({}, {})

    def zeros(key):
        return jax.tree.map(jnp.zeros_like, critic.init(key))

    roles = {
        "correction": Role(zeros, correction_loss, optimizer(config, config.correction_lr)),
        "critic": Role(critic.init, critic_loss, optimizer(config, config.critic_lr, config.weight_decay)),
    }
    return _make_agent(config, spec, critic, roles)


def compatible_q(
    actor: Network, value: Network, theta: Variables, critic: Variables, obs: Array, action: Array
) -> Array:
    """Returns Qʷ(s, a) [B] of the critic {"w": like θ, "v": of V}, by one Jacobian-vector product along w."""
    mean, slope = jax.jvp(lambda theta: actor.apply(theta, obs), (theta,), (critic["w"],))  # μ(s), ∇θμ(s)ᵀ w [B, A]
    return ((action - mean) * slope).sum(axis=-1) + value.apply(critic["v"], obs)


class _CompatibleCritic(NamedTuple):
    """The critic as functions of its own parameters; those of the actor are read from the learner."""

    actor: Network
    init: Callable[[Key], Variables]
    q: Callable[[Variables, Learner, Array, Array], Array]  # (params, learner, obs, action) -> [B]
    next_q: Callable[[Variables, Learner, Transition], Array]  # (params, learner, batch) -> Q(s', μ(s')) [B]
    target: Callable[[Learner, Transition], Array]  # (learner, batch) -> r + γ d Q(s', μ(s')) [B]


def _compatible_critic(
    config: COPDACConfig, spec: Spec, actor: Network | None, value: Network | None
) -> _CompatibleCritic:
    check(config)
    actor, value = actor or default_actor(config, spec), value or default_critic(config, spec)
    example_obs, _ = example_inputs(spec)

    def init(key):
        return {"w": jax.tree.map(jnp.zeros_like, actor.init(key, example_obs)), "v": value.init(key, example_obs)}

    def q(params, learner, obs, action):
        return compatible_q(actor, value, learner.params["actor"], params, obs, action)

    def next_q(params, learner, batch):
        return q(params, learner, batch.next_obs, actor.apply(learner.params["actor"], batch.next_obs))

    def target(learner, batch):
        return td_target(batch, next_q(learner.params["critic"], learner, batch), config.discount)

    return _CompatibleCritic(actor, init, q, next_q, target)


def _along_features(critic: _CompatibleCritic, u: Variables, learner: Learner, batch: Transition) -> Array:
    """Returns φ(s, a)ᵀ u [B], where the features φ are the gradient of Q by the critic's parameters."""

    def q(params):
        return critic.q(params, learner, batch.obs, batch.action)

    return jax.jvp(q, (learner.params["critic"],), (u,))[1]


def _make_agent(config: COPDACConfig, spec: Spec, critic: _CompatibleCritic, roles: dict[str, Role]) -> Agent:
    """Returns the agent of this table, to which the actor is added as the last row."""

    def actor_loss(params, learner, batch, key):
        action, _ = critic.actor.apply_train(params, batch.obs)  # [B, A]
        return -critic.q(learner.params["critic"], learner, batch.obs, action).mean(), ({}, {})

    def value(learner, obs, action):
        return critic.q(learner.params["critic"], learner, obs, action)

    roles = roles | {"actor": actor_role(config, spec, critic.actor, actor_loss)}
    policy = greedy_policy(critic.actor)
    return make_agent(config, spec, roles, policy, value, explorer(config, policy, spec.action_size))
