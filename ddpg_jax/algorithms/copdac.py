"""Compatible off-policy deterministic actor-critic (Silver et al. 2014, sections 4.3 and 4.4): COPDAC-Q, COPDAC-GQ.

The critic is Qʷ(s, a) = (a - μ(s))ᵀ ∇θμ(s)ᵀ w + Vᵛ(s) (Theorem 3 and eq. 19). Both conditions of compatibility hold by
its form: ∇a Qʷ at a = μ(s) is ∇θμ(s)ᵀ w, and w is fitted to the error that this gradient makes. So the actor's loss is
the same -Q(s, μ(s)) as everywhere, in which only the policy that acts is differentiated.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.agent import LearningConfig, actor_role, examples, make_agent, optimizer
from ddpg_jax.core.exploration import NoiseConfig, explorer
from ddpg_jax.core.losses import td_loss, td_target
from ddpg_jax.core.networks import Actor, Critic, NetworkConfig, network, shape
from ddpg_jax.core.roles import Role
from ddpg_jax.core.settings import check, configclass, setting
from ddpg_jax.core.types import Agent, Array, Key, Learner, Network, Spec, Transition, Variables


@configclass
class COPDACConfig(NoiseConfig, NetworkConfig, LearningConfig):
    """Settings of COPDAC; floats are pytree leaves, the rest shapes the program.

    The critic is linear in the action, so the actor has to move slower than w is fitted, and exploration to reach
    further; without layer norm the features ∇θμ(s) differ too much in size for one step size.
    """

    actor_lr: float = setting(default=3e-5, help="step size of the actor", low=0)
    noise_scale: float = setting(default=0.3, help="σ of the noise, in half-ranges, or before the tanh", low=0)
    norm: Literal["none", "layer"] = setting(default="layer", help="layer: layer norm in each hidden layer")
    correction_lr: float = setting(default=1e-3, help="step size of the gradient-TD weights u; COPDAC-GQ only", low=0)


def copdac_q(config: COPDACConfig, spec: Spec, actor: Network | None = None, value: Network | None = None) -> Agent:
    """COPDAC-Q: the compatible critic learned by Q-learning (Silver et al. 2014, section 4.4, eqs. 20 to 23).

    Args:
      config, spec, actor: as for `ddpg`; the actor without running statistics.
      value: the baseline V, obs [..., *O] -> [...]; by default an MLP.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    critic = _compatible(config, spec, actor, value)

    def critic_loss(params, learner, batch, key):
        q = critic.q(params, learner, batch.obs, batch.action)  # [B]
        return td_loss(q, critic.target(learner, batch)), ({}, {"q": q.mean()})

    roles = {"critic": Role(critic.init, critic_loss, optimizer(config, config.critic_lr, config.weight_decay))}
    return _agent(config, spec, critic, roles)


def copdac_gq(config: COPDACConfig, spec: Spec, actor: Network | None = None, value: Network | None = None) -> Agent:
    """COPDAC-GQ: the compatible critic learned by gradient Q-learning (Silver et al. 2014, section 4.4, eqs. 24 to 28).

    Arguments and errors as for `copdac_q`. u covers the features of V too, whose curvature is neglected where V is no
    linear function; steps are those of a squared error, twice the paper's.
    """
    critic = _compatible(config, spec, actor, value)

    def along(u, learner, batch):
        """φ(s, a)ᵀ u [B]; the features φ are the critic's gradient."""
        read = lambda params: critic.q(params, learner, batch.obs, batch.action)  # noqa: E731
        return jax.jvp(read, (learner.params["critic"],), (u,))[1]

    def critic_loss(params, learner, batch, key):
        q = critic.q(params, learner, batch.obs, batch.action)  # [B]
        correction = config.discount * batch.discount * along(learner.params["correction"], learner, batch)
        corrected = (correction * critic.next_q(params, learner, batch)).mean()
        return td_loss(q, critic.target(learner, batch)) + 2 * corrected, ({}, {"q": q.mean()})

    def correction_loss(params, learner, batch, key):
        error = critic.target(learner, batch) - critic.q(learner.params["critic"], learner, batch.obs, batch.action)
        return td_loss(along(params, learner, batch), error), ({}, {})

    def zeros(key):
        return jax.tree.map(jnp.zeros_like, critic.init(key))

    roles = {
        "correction": Role(zeros, correction_loss, optimizer(config, config.correction_lr)),
        "critic": Role(critic.init, critic_loss, optimizer(config, config.critic_lr, config.weight_decay)),
    }
    return _agent(config, spec, critic, roles)


def compatible_q(
    actor: Network, value: Network, theta: Variables, critic: Variables, obs: Array, action: Array
) -> Array:
    """Qʷ(s, a) [B] of the critic {"w": as θ, "v": of V}, by one Jacobian-vector product along w."""
    mean, slope = jax.jvp(lambda theta: actor.apply(theta, obs), (theta,), (critic["w"],))  # μ(s), ∇θμ(s)ᵀ w [B, A]
    return ((action - mean) * slope).sum(axis=-1) + value.apply(critic["v"], obs)


class _Compatible(NamedTuple):
    actor: Network
    init: Callable[[Key], Variables]
    q: Callable[[Variables, Learner, Array, Array], Array]
    next_q: Callable[[Variables, Learner, Transition], Array]
    target: Callable[[Learner, Transition], Array]


def _compatible(config: COPDACConfig, spec: Spec, actor: Network | None, value: Network | None) -> _Compatible:
    """The critic as functions of its own parameters; those of the actor are read from the learner."""
    check(config)
    actor = actor or network(Actor(spec.action_size, shape(config, spec)))
    value = value or network(Critic(shape(config, spec)))
    obs, _ = examples(spec)

    def init(key):
        return {"w": jax.tree.map(jnp.zeros_like, actor.init(key, obs)), "v": value.init(key, obs)}

    def q(params, learner, obs, action):
        return compatible_q(actor, value, learner.params["actor"], params, obs, action)

    def next_q(params, learner, batch):
        return q(params, learner, batch.next_obs, actor.apply(learner.params["actor"], batch.next_obs))

    def target(learner, batch):
        return td_target(batch, next_q(learner.params["critic"], learner, batch), config.discount)

    return _Compatible(actor, init, q, next_q, target)


def _agent(config: COPDACConfig, spec: Spec, critic: _Compatible, roles: dict[str, Role]) -> Agent:
    """The agent of this table, with the actor as its last row."""

    def actor_loss(params, learner, batch, key):
        action, _ = critic.actor.apply_train(params, batch.obs)  # [B, A]
        return -critic.q(learner.params["critic"], learner, batch.obs, action).mean(), ({}, {})

    def policy(learner, obs):
        return critic.actor.apply(learner.params["actor"], obs)

    def value(learner, obs, action):
        return critic.q(learner.params["critic"], learner, obs, action)

    roles = roles | {"actor": actor_role(config, critic.actor, examples(spec)[0], actor_loss)}
    return make_agent(config, spec, roles, policy, value, explorer(config, policy, spec.action_size))
