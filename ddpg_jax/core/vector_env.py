"""N copies of an environment that are stepped together and reset automatically."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.environment import tree_where
from ddpg_jax.core.metrics import masked_sum
from ddpg_jax.core.platforms import on_gpu
from ddpg_jax.core.rng import randint
from ddpg_jax.core.types import Array, Env, EnvState, Key, Metrics, Transition, VecEnv, VecEnvState

ResetMode = Literal["pool", "every-step", "cached"]


def vectorize(env: Env, num_envs: int, reset_mode: ResetMode = "pool", pool_size: int = 64) -> VecEnv:
    """Returns N copies of `env`, each of which starts a new episode where one has ended.

    Args:
      env: the environment.
      num_envs: N.
      reset_mode: where a new episode starts. "pool": in one of `pool_size` states, which `refresh` draws anew (the
        training loop calls it once a chunk). "every-step": in a fresh reset, computed at every step for every
        environment. "cached": in the first state that this environment ever had, as in Brax's wrapper.
      pool_size: P, the number of states in the pool.

    Returns:
      A `VecEnv` whose `step` returns transitions [N, ...] with the true `next_obs`, and as metrics the return (sum of
      rewards) and the length (number of actions) of the episodes that ended.
    """
    resets = {
        "pool": lambda: _pool_resets(env, num_envs, pool_size),
        "every-step": lambda: _fresh_resets(env, num_envs),
        "cached": _cached_resets,
    }[reset_mode]()
    return VecEnv(partial(_reset, env, num_envs, resets), partial(_refresh, resets), partial(_step, env, resets))


class _Resets(NamedTuple):
    """Where new episodes start."""

    init: Callable[[Key, EnvState], Any]  # (key, the first states [N, ...]) -> pool, or None
    refresh: Callable[[Key, Any], Any]  # (key, pool) -> pool
    draw: Callable[[Key, Any], EnvState]  # (key, pool) -> initial states [N, ...]


def _pool_resets(env: Env, num_envs: int, pool_size: int) -> _Resets:
    def fill(key, _):
        return _reset_many(env, key, pool_size)

    def draw(key, pool):
        # A random rotation for every `pool_size` environments: as even as a draw for each, and much cheaper.
        rotation = jnp.repeat(randint(key, (-(-num_envs // pool_size),), pool_size), pool_size)[:num_envs]
        index = (rotation + jnp.arange(num_envs)) % pool_size
        return _take(pool, index)

    return _Resets(fill, fill, draw)


def _fresh_resets(env: Env, num_envs: int) -> _Resets:
    return _Resets(lambda key, first: None, lambda key, pool: pool, lambda key, pool: _reset_many(env, key, num_envs))


def _cached_resets() -> _Resets:
    # The pool is a copy, since two references to one array could not both be donated.
    return _Resets(lambda key, first: jax.tree.map(jnp.copy, first), lambda key, pool: pool, lambda key, pool: pool)


def _reset_many(env: Env, key: Key, size: int) -> EnvState:
    return jax.vmap(env.reset)(jax.random.split(key, size))


def _take(states: EnvState, index: Array) -> EnvState:
    return jax.tree.map(lambda leaf: leaf[index], states)


def _reset(env: Env, num_envs: int, resets: _Resets, key: Key) -> VecEnvState:
    env_key, pool_key = jax.random.split(key)
    first = _reset_many(env, env_key, num_envs)
    return VecEnvState(first, resets.init(pool_key, first), jnp.zeros(num_envs), jnp.zeros(num_envs, jnp.int32))


def _refresh(resets: _Resets, key: Key, state: VecEnvState) -> VecEnvState:
    return replace(state, pool=resets.refresh(key, state.pool))


def _step(
    env: Env, resets: _Resets, key: Key, state: VecEnvState, action: Array
) -> tuple[VecEnvState, Transition, Metrics]:
    num_envs = len(state.episode_return)
    new, transition = jax.vmap(env.step)(jax.random.split(key, num_envs), state.env, action)
    ended = transition.ended
    returns, lengths = state.episode_return + transition.reward, state.episode_steps + 1
    metrics = {"episode_return": masked_sum(ended, returns), "episode_length": masked_sum(ended, lengths)}

    def draw(pool):
        return resets.draw(jax.random.fold_in(key, num_envs), pool)

    def draw_if_needed(pool):
        return jax.lax.cond(ended.any(), draw, lambda pool: state.env, pool)

    # Most steps end no episode, and then no state is drawn; under `vmap` over seeds and on a GPU one always is.
    fresh = on_gpu(draw, draw_if_needed, state.pool)
    begun = jax.vmap(tree_where)(ended, fresh, new)
    returns, lengths = jnp.where(ended, 0, returns), jnp.where(ended, 0, lengths)  # 0 after a NaN, too
    return VecEnvState(begun, state.pool, returns, lengths), transition, metrics
