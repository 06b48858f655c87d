"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, "Addressing function approximation error")."""

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.losses import td_loss, td_target
from ddpg_jax.networks import Actor, Critic, ensemble, network
from ddpg_jax.noise import Noise, explorer
from ddpg_jax.roles import Role, actor_critic, polyak
from ddpg_jax.settings import check, setting, settings
from ddpg_jax.types import Agent, Network, Spec


@settings
class TD3Config:
    """Settings of TD3; floats are pytree leaves, the rest shapes the program."""

    actor_lr: float = setting(default=1e-3, help="step size of the actor's Adam", low=0)
    critic_lr: float = setting(default=1e-3, help="step size of the critics' Adam", low=0)
    discount: float = setting(default=0.99, help="discount γ per decision", low=0, high=1)
    tau: float = setting(default=0.005, help="share of the online parameters that enters the targets", low=0, high=1)
    noise: Noise = setting(default="gaussian", help="exploration; ou: Ornstein-Uhlenbeck, anew for each episode")
    noise_scale: float = setting(default=0.1, help="σ of the exploration noise, in half-ranges", low=0)
    noise_theta: float = setting(default=0.15, help="share of the ou noise forgotten per step", low=0, high=1)
    noise_epsilon: float = setting(default=0.1, help="share of uniform actions under epsilon-uniform", low=0, high=1)
    target_noise: float = setting(default=0.2, help="σ of the noise on the target action, in half-ranges", low=0)
    target_noise_clip: float = setting(default=0.5, help="bound c of the noise on the target action", low=0)
    policy_delay: int = setting(default=2, help="critic updates per update of the actor and the targets", low=1)
    hidden: tuple[int, ...] = setting(default=(256, 256), help="widths of the hidden layers of all networks", low=1)


def td3(config: TD3Config, spec: Spec, actor: Network | None = None, critic: Network | None = None) -> Agent:
    """TD3 for environments of this `spec` (Fujimoto et al. 2018, Algorithm 1).

    Args: as for `ddpg`; `critic` is one of the two.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    actor = actor or network(Actor(len(spec.obs_shape), spec.action_size, config.hidden))
    critic = critic or network(Critic(len(spec.obs_shape), config.hidden))
    twins = ensemble(critic, 2)
    obs, action = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype), jnp.zeros((1, spec.action_size))

    def first_q(learner, obs, action):
        return critic.apply(jax.tree.map(lambda leaf: leaf[0], learner.params["critic"]), obs, action)

    def critic_loss(params, learner, batch, key):
        noise = config.target_noise * jax.random.normal(key, batch.action.shape)
        noise = jnp.clip(noise, -config.target_noise_clip, config.target_noise_clip)
        next_action = actor.apply(learner.target_params["actor"], batch.next_obs) + noise  # [B, A]
        next_action = jnp.clip(next_action, -1.0, 1.0)
        next_q = twins.apply(learner.target_params["critic"], batch.next_obs, next_action).min(axis=0)  # [B]
        q, mutated = twins.train(params, batch.obs, batch.action)  # [2, B]
        return td_loss(q, td_target(batch, next_q, config.discount)), (mutated, {"q": q.mean()})

    def actor_loss(params, learner, batch, key):
        action, mutated = actor.train(params, batch.obs)  # [B, A]
        return -first_q(learner, batch.obs, action).mean(), (mutated, {})

    def policy(learner, obs):
        return actor.apply(learner.params["actor"], obs)

    roles = {
        "critic": Role(
            init=lambda key: twins.init(key, obs, action),
            loss=critic_loss,
            optimiser=optax.adam(config.critic_lr),
            target=polyak(config.tau),
        ),
        "actor": Role(
            init=lambda key: actor.init(key, obs),
            loss=actor_loss,
            optimiser=optax.adam(config.actor_lr),
            every=config.policy_delay,
            target=polyak(config.tau),
        ),
    }
    init, update = actor_critic(roles)
    return Agent(init, policy, first_q, explorer(config, policy, spec.action_size), update)
