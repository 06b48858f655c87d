"""Exploration: noise added to a policy's action, inside the box [-1, 1] where half a range is 1."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.collectives import num_shards, shard_index
from ddpg_jax.core.settings import SettingError, configclass, setting
from ddpg_jax.core.types import Array, Explorer, Key, Learner

Scale = Callable[[Array, int], Any]  # (vector_step, N) -> σ, [] or [N, 1]


@configclass
class NoiseConfig:
    """How a deterministic policy explores."""

    noise: Literal["gaussian", "tanh-gaussian", "ou", "epsilon-uniform"] = setting(
        default="gaussian", help="exploration; tanh-gaussian: before the squashing, ou: Ornstein-Uhlenbeck"
    )
    noise_scale: float = setting(default=0.1, help="σ of the noise, in half-ranges, or before the tanh", low=0)
    noise_scale_max: float | None = setting(
        default=None,
        help="σ in the last environment, linear from noise_scale in the first; none: one σ",
        low=0,
    )
    noise_final: float | None = setting(
        default=None, help="share of σ that is left after noise_steps, linear in time; none: constant", low=0
    )
    noise_steps: int = setting(default=100_000, help="environment steps until noise_final, warm-up included", low=1)
    noise_theta: float = setting(default=0.15, help="share of the ou noise forgotten per step", low=0, high=1)
    noise_epsilon: float = setting(default=0.1, help="share of uniform actions under epsilon-uniform", low=0, high=1)


def explorer(config: NoiseConfig, policy: Callable[[Learner, Array], Array], action_size: int) -> Explorer:
    """The explorer that `config.noise` names, with `config`'s numbers.

    Raises:
      SettingError: by its `init`, where noise is to be spread over one environment.
    """
    scale = scales(config)
    kinds = {
        "gaussian": lambda: gaussian(policy, scale),
        "tanh-gaussian": lambda: tanh_gaussian(policy, scale),
        "ou": lambda: ornstein_uhlenbeck(policy, action_size, scale, config.noise_theta),
        "epsilon-uniform": lambda: epsilon_uniform(gaussian(policy, scale), config.noise_epsilon),
    }
    chosen = kinds[config.noise]()

    def init(num_envs):
        if config.noise_scale_max is not None and num_envs * num_shards() == 1:
            raise SettingError("noise_scale_max must be None where num_envs is 1: there is nothing to spread over.")
        return chosen.init(num_envs)

    return Explorer(init, chosen.act, scale)


def scales(config: NoiseConfig) -> Scale:
    """σ_i(t): spread evenly over the environments (Li et al. 2023, "Parallel Q-learning") and in time.

    N environments are those of one device; where several share an agent, theirs count too.
    """

    def scale(vector_step: Array, num_envs: int) -> Any:
        sigma: Any = config.noise_scale
        total = num_envs * num_shards()
        if config.noise_scale_max is not None:
            every_sigma = jnp.linspace(config.noise_scale, config.noise_scale_max, total)[:, None]
            sigma = jax.lax.dynamic_slice_in_dim(every_sigma, num_envs * shard_index(), num_envs)
        if config.noise_final is not None:
            vector_steps = config.noise_steps / total  # the product with the vector_step could overflow
            sigma *= optax.linear_schedule(1.0, config.noise_final, vector_steps)(vector_step)
        return sigma

    return scale


def uniform(action_size: int) -> Explorer:
    """Ignores the policy and covers the whole box: the warm-up."""

    def act(learner, carry, obs, first, vector_step, key):
        return jax.random.uniform(key, (first.shape[0], action_size), minval=-1.0, maxval=1.0), carry

    return Explorer(lambda num_envs: (), act)


def gaussian(policy: Callable[[Learner, Array], Array], scale: Scale) -> Explorer:
    """a = clip(μ(s) + σ ε), ε ~ N(0, 1) per dimension (Fujimoto et al. 2018, section 6.1).

    Args:
      policy: (learner, obs [N, *O]) -> action [N, A] in [-1, 1].
      scale: σ, in half-ranges of each action dimension.
    """

    def act(learner, carry, obs, first, vector_step, key):
        action = policy(learner, obs)
        noise = scale(vector_step, len(action)) * jax.random.normal(key, action.shape, action.dtype)
        return jnp.clip(action + noise, -1.0, 1.0), carry

    return Explorer(lambda num_envs: (), act)


def tanh_gaussian(policy: Callable[[Learner, Array], Array], scale: Scale) -> Explorer:
    """a = tanh(u + σ ε) where μ(s) = tanh(u): the noise fades towards the bounds and is never cut.

    Arguments as for `gaussian`, but σ is in units of u.
    """

    def act(learner, carry, obs, first, vector_step, key):
        action = policy(learner, obs)
        inside = 1 - jnp.finfo(action.dtype).epsneg  # a tanh that has rounded to 1 would come from infinity
        u = jnp.arctanh(jnp.clip(action, -inside, inside))
        return jnp.tanh(u + scale(vector_step, len(action)) * jax.random.normal(key, action.shape, action.dtype)), carry

    return Explorer(lambda num_envs: (), act)


def ornstein_uhlenbeck(
    policy: Callable[[Learner, Array], Array], action_size: int, scale: Scale, theta: Array | float
) -> Explorer:
    """a = clip(μ(s) + x), x <- x - θ x + σ ε, from x = 0 at the start of each episode (Lillicrap et al. 2016, sec. 7).

    Args:
      policy, scale: as for `gaussian`; σ is per step, so x spreads by σ / √(2θ - θ²) in the long run.
      action_size: A.
      theta: θ in (0, 1], the share of x that is forgotten in a step.

    The carry is x [N, A], one process per environment.
    """

    def act(learner, carry, obs, first, vector_step, key):
        carry = jnp.where(first[:, None], 0.0, carry)
        carry = carry - theta * carry + scale(vector_step, len(carry)) * jax.random.normal(key, carry.shape)
        return jnp.clip(policy(learner, obs) + carry, -1.0, 1.0), carry

    return Explorer(lambda num_envs: jnp.zeros((num_envs, action_size)), act)


def epsilon_uniform(explorer: Explorer, epsilon: Array | float) -> Explorer:
    """With probability ε an environment tries a uniformly random action, else what `explorer` tries."""

    def act(learner, carry, obs, first, vector_step, key):
        explore_key, coin_key, uniform_key = jax.random.split(key, 3)
        action, carry = explorer.act(learner, carry, obs, first, vector_step, explore_key)
        coin = jax.random.bernoulli(coin_key, epsilon, (action.shape[0], 1))
        return jnp.where(coin, jax.random.uniform(uniform_key, action.shape, minval=-1.0), action), carry

    return Explorer(explorer.init, act)


def stochastic(sample: Callable[[Learner, Array, Key], tuple[Array, Any]]) -> Explorer:
    """Tries what a stochastic policy draws; `sample` gives (action [N, A], anything)."""

    def act(learner, carry, obs, first, vector_step, key):
        return sample(learner, obs, key)[0], carry

    return Explorer(lambda num_envs: (), act)
