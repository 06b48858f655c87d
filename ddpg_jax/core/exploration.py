"""Exploration: noise added to a policy's action, relative to the action range [-1, 1] of every dimension.

All kinds of noise are in this file because they have the same form and are easiest to compare together.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ddpg_jax.core.collectives import num_shards, shard_index
from ddpg_jax.core.settings import SettingError, configclass, setting
from ddpg_jax.core.types import Array, Explorer, Key, Learner

Policy = Callable[[Learner, Array], Array]  # (learner, obs [N, *O]) -> action [N, A] in [-1, 1]
Scale = Callable[[Array, int], Any]  # (vector_step, N) -> σ, [] or [N, 1]
MakeExplorer = Callable[[Any, Policy, int], Explorer]  # (config, greedy policy, A) -> explorer

PINK_TIMES = 4.0 ** np.arange(6)  # time constants in steps, whose processes together are pink noise: 1, 4, ..., 1024


@configclass
class NoiseConfig:
    """How a deterministic policy explores."""

    noise: Literal["gaussian", "tanh-gaussian", "ou", "pink", "epsilon-uniform"] = setting(
        default="gaussian",
        help="exploration noise: Gaussian, Gaussian before the tanh, Ornstein-Uhlenbeck, pink (Gaussian, correlated in "
        "time at all scales), or Gaussian mixed with uniform actions",
    )
    noise_scale: float = setting(
        default=0.1,
        help="σ of the noise, relative to the action range [-1, 1]; tanh-gaussian: before the tanh",
        low=0,
        high=1_000_000,
    )
    noise_scale_max: float | None = setting(
        default=None,
        help="σ in the last of N environments, growing linearly from noise_scale in the first; None: one σ for all",
        low="noise_scale",
        high=1_000_000,
    )
    noise_final: float | None = setting(
        default=None,
        help="factor on σ after noise_steps, reached linearly from 1 at the start; None: σ is constant",
        low=0,
        high=1_000_000,
    )
    noise_steps: int = setting(
        default=100_000, help="environment steps until noise_final is reached, warm-up included", low=1
    )
    noise_theta: float = setting(
        default=0.15, help="θ of Ornstein-Uhlenbeck noise, its mean reversion per step", low=0, high=1
    )
    noise_epsilon: float = setting(
        default=0.1, help="probability of a uniform random action under epsilon-uniform", low=0, high=1
    )


def explorer(config: NoiseConfig, policy: Policy, action_size: int) -> Explorer:
    """Returns the explorer that `config.noise` names, around a deterministic policy.

    Args:
      config: kind and scale of the noise; floats may be traced.
      policy: (learner, obs [N, *O]) -> action [N, A] in [-1, 1].
      action_size: A.

    Raises:
      SettingError: by the explorer's `init`, where `noise_scale_max` is given for a single environment.
    """
    scale = noise_schedule(config)
    match config.noise:
        case "gaussian":
            chosen = gaussian(policy, scale)
        case "tanh-gaussian":
            chosen = tanh_gaussian(policy, scale)
        case "ou":
            chosen = ornstein_uhlenbeck(policy, action_size, scale, config.noise_theta)
        case "pink":
            chosen = pink(policy, action_size, scale)
        case "epsilon-uniform":
            chosen = epsilon_uniform(gaussian(policy, scale), config.noise_epsilon)

    def init(num_envs):
        if config.noise_scale_max is not None and num_envs * num_shards() == 1:
            raise SettingError("noise_scale_max must be None where num_envs is 1: a single environment has a single σ.")
        return chosen.init(num_envs)

    return Explorer(init, chosen.act, scale)


def noise_schedule(config: NoiseConfig) -> Scale:
    """Returns σ as (vector_step, N) -> [] or [N, 1].

    σ grows linearly over the environments where `noise_scale_max` asks for it (Li et al. 2023, "Parallel Q-learning"),
    and changes linearly in time where `noise_final` does. N counts the environments of one device; those of other
    devices that share the agent are taken into account.
    """

    def scale(vector_step: Array, num_envs: int) -> Any:
        sigma: Any = config.noise_scale
        total = num_envs * num_shards()
        if config.noise_scale_max is not None:
            all_sigmas = jnp.linspace(config.noise_scale, config.noise_scale_max, total)[:, None]
            sigma = jax.lax.dynamic_slice_in_dim(all_sigmas, num_envs * shard_index(), num_envs)
        if config.noise_final is not None:
            vector_steps = config.noise_steps / total  # vector_step * total could overflow
            sigma *= optax.linear_schedule(1.0, config.noise_final, vector_steps)(vector_step)
        return sigma

    return scale


def uniform(action_size: int) -> Explorer:
    """Returns the explorer of the warm-up: uniform random actions in [-1, 1], whatever the policy is."""

    def act(learner, carry, obs, first, vector_step, key):
        return jax.random.uniform(key, (first.shape[0], action_size), minval=-1.0, maxval=1.0), carry

    return Explorer(_no_carry, act)


def gaussian(policy: Policy, scale: Scale) -> Explorer:
    """Returns the explorer a = clip(μ(s) + σ ε), ε ~ N(0, 1) in every dimension (Fujimoto et al. 2018, section 6.1).

    Args:
      policy: (learner, obs [N, *O]) -> action [N, A] in [-1, 1].
      scale: σ, relative to the action range [-1, 1].
    """

    def act(learner, carry, obs, first, vector_step, key):
        action = policy(learner, obs)
        noise = scale(vector_step, len(action)) * jax.random.normal(key, action.shape, action.dtype)
        return jnp.clip(action + noise, -1.0, 1.0), carry

    return Explorer(_no_carry, act)


def tanh_gaussian(policy: Policy, scale: Scale) -> Explorer:
    """Returns the explorer a = tanh(u + σ ε), where μ(s) = tanh(u): noise shrinks towards the bounds, without clipping.

    Args:
      policy: as for `gaussian`.
      scale: σ, in units of u.
    """

    def act(learner, carry, obs, first, vector_step, key):
        action = policy(learner, obs)
        inside = 1 - jnp.finfo(action.dtype).epsneg  # a tanh that was rounded to 1 would have an infinite u
        u = jnp.arctanh(jnp.clip(action, -inside, inside))
        return jnp.tanh(u + scale(vector_step, len(action)) * jax.random.normal(key, action.shape, action.dtype)), carry

    return Explorer(_no_carry, act)


def ornstein_uhlenbeck(policy: Policy, action_size: int, scale: Scale, theta: Array | float) -> Explorer:
    """Returns the explorer a = clip(μ(s) + x), x <- x - θ x + σ ε (Lillicrap et al. 2016, section 7).

    x [N, A] is the explorer's carry, one process per environment, and 0 when an episode begins. In the long run its
    standard deviation is σ / √(2θ - θ²); with θ = 0 it is a random walk.

    Args:
      policy: as for `gaussian`.
      action_size: A.
      scale: σ per step, relative to the action range [-1, 1].
      theta: θ in [0, 1], the mean reversion per step.
    """

    def init(num_envs):
        return jnp.zeros((num_envs, action_size))

    def act(learner, carry, obs, first, vector_step, key):
        carry = jnp.where(first[:, None], 0.0, carry)
        carry = carry - theta * carry + scale(vector_step, len(carry)) * jax.random.normal(key, carry.shape)
        return jnp.clip(policy(learner, obs) + carry, -1.0, 1.0), carry

    return Explorer(init, act)


def pink(policy: Policy, action_size: int, scale: Scale) -> Explorer:
    """Returns the explorer a = clip(μ(s) + σ ε) with pink noise ε (Eberhard et al. 2023, "Pink noise is all you need").

    Args:
      policy: as for `gaussian`.
      action_size: A.
      scale: σ, relative to the action range [-1, 1].
    """

    def act(learner, carry, obs, first, vector_step, key):
        noise, carry = pink_noise(carry, first, key)
        return jnp.clip(policy(learner, obs) + scale(vector_step, len(noise)) * noise, -1.0, 1.0), carry

    return Explorer(lambda num_envs: _pink_carry(num_envs, action_size), act)


def pink_sampling(sample: Callable[[Learner, Array, Array], Array], action_size: int) -> Explorer:
    """Returns the explorer of a stochastic policy whose samples are correlated in time by pink noise.

    Args:
      sample: (learner, obs [N, *O], noise [N, A]) -> action [N, A] in [-1, 1], where the noise is N(0, 1).
      action_size: A.
    """

    def act(learner, carry, obs, first, vector_step, key):
        noise, carry = pink_noise(carry, first, key)
        return sample(learner, obs, noise), carry

    return Explorer(lambda num_envs: _pink_carry(num_envs, action_size), act)


def pink_noise(carry: Array, first: Array, key: Key) -> tuple[Array, Array]:
    """Returns the next step of pink noise: N(0, 1) at every step, with a spectrum near 1/f down to 1/6400 per step.

    It is the sum of first-order autoregressive processes x <- e^(-1/T) x + √(1 - e^(-2/T)) ε of equal variance, whose
    time constants T grow by a factor of 4; so it costs the same for episodes of any length.

    Args:
      carry: [N, A, 6], the processes.
      first: [N], where new noise begins: with an episode, and after the warm-up.
      key: for this step.

    Returns:
      [N, A] the noise, and the next carry.
    """
    keep = jnp.where(first[:, None, None], 0.0, jnp.exp(-1 / PINK_TIMES))  # [N, 1, 6]
    carry = keep * carry + jnp.sqrt(1 - jnp.square(keep)) * jax.random.normal(key, carry.shape)
    total = sum(carry[..., i] for i in range(len(PINK_TIMES)))  # `carry.sum` is a kernel of its own on a GPU
    return total / np.sqrt(len(PINK_TIMES)), carry


def _pink_carry(num_envs: int, action_size: int) -> Array:
    return jnp.zeros((num_envs, action_size, len(PINK_TIMES)))


def epsilon_uniform(explorer: Explorer, epsilon: Array | float) -> Explorer:
    """Returns an explorer that takes a uniform random action with probability ε, and else that of `explorer`."""

    def act(learner, carry, obs, first, vector_step, key):
        explore_key, coin_key, uniform_key = jax.random.split(key, 3)
        action, carry = explorer.act(learner, carry, obs, first, vector_step, explore_key)
        coin = jax.random.bernoulli(coin_key, epsilon, (action.shape[0], 1))
        return jnp.where(coin, jax.random.uniform(uniform_key, action.shape, minval=-1.0), action), carry

    return Explorer(explorer.init, act)


def stochastic(sample: Callable[[Learner, Array, Key], tuple[Array, Any]]) -> Explorer:
    """Returns the explorer of a stochastic policy, which takes the actions that the policy samples.

    Args:
      sample: (learner, obs [N, *O], key) -> (action [N, A] in [-1, 1], anything else).
    """

    def act(learner, carry, obs, first, vector_step, key):
        return sample(learner, obs, key)[0], carry

    return Explorer(_no_carry, act)


def _no_carry(num_envs: int) -> tuple[()]:
    return ()
