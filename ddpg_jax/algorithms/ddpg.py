"""Deep deterministic policy gradient (Lillicrap et al. 2016, "Continuous control with deep reinforcement learning")."""

import jax.numpy as jnp
import optax

from ddpg_jax.losses import td_loss, td_target
from ddpg_jax.networks import Actor, Critic, network
from ddpg_jax.noise import Noise, explorer
from ddpg_jax.roles import Role, actor_critic, polyak
from ddpg_jax.settings import check, setting, settings
from ddpg_jax.types import Agent, Network, Spec


@settings
class DDPGConfig:
    """Settings of DDPG in its modern form; floats are pytree leaves, the rest shapes the program."""

    actor_lr: float = setting(default=1e-3, help="step size of the actor's Adam", low=0)
    critic_lr: float = setting(default=1e-3, help="step size of the critic's Adam", low=0)
    discount: float = setting(default=0.99, help="discount γ per decision", low=0, high=1)
    tau: float = setting(
        default=0.005, help="share of the online parameters that enters the targets, per gradient step", low=0, high=1
    )
    noise: Noise = setting(default="gaussian", help="exploration; ou: Ornstein-Uhlenbeck, anew for each episode")
    noise_scale: float = setting(default=0.1, help="σ of the exploration noise, in half-ranges", low=0)
    noise_theta: float = setting(default=0.15, help="share of the ou noise forgotten per step", low=0, high=1)
    noise_epsilon: float = setting(default=0.1, help="share of uniform actions under epsilon-uniform", low=0, high=1)
    hidden: tuple[int, ...] = setting(default=(256, 256), help="widths of the hidden layers of actor and critic", low=1)


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
    actor = actor or network(Actor(len(spec.obs_shape), spec.action_size, config.hidden))
    critic = critic or network(Critic(len(spec.obs_shape), config.hidden))
    obs, action = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype), jnp.zeros((1, spec.action_size))

    def critic_loss(params, learner, batch, key):
        next_action = actor.apply(learner.target_params["actor"], batch.next_obs)  # [B, A]
        next_q = critic.apply(learner.target_params["critic"], batch.next_obs, next_action)  # [B]
        q, mutated = critic.train(params, batch.obs, batch.action)  # [B]
        return td_loss(q, td_target(batch, next_q, config.discount)), (mutated, {"q": q.mean()})

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.train(params, batch.obs)  # [B, A]
        return -critic.apply(learner.params["critic"], batch.obs, action).mean(), (mutated, {})

    def policy(learner, obs):
        return actor.apply(learner.params["actor"], obs)

    def value(learner, obs, action):
        return critic.apply(learner.params["critic"], obs, action)

    roles = {
        "critic": Role(
            init=lambda key: critic.init(key, obs, action),
            loss=critic_loss,
            optimiser=optax.adam(config.critic_lr),
            target=polyak(config.tau),
        ),
        "actor": Role(
            init=lambda key: actor.init(key, obs),
            loss=actor_loss,
            optimiser=optax.adam(config.actor_lr),
            target=polyak(config.tau),
        ),
    }
    init, update = actor_critic(roles)
    return Agent(init, policy, value, explorer(config, policy, spec.action_size), update)
