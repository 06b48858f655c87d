"""Environments as pure functions: actions in [-1, 1], `discount` as data, automatic resets.

`env_from_functions` turns an environment's `reset` and `step` into an `Env`; `vectorize` turns an `Env` into N of
them that reset automatically.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.rng import randint
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Array, Env, EnvState, Key, Spec, Transition, VecEnv, VecEnvState

ResetMode = Literal["pool", "every-step", "cached"]


def env_from_functions(
    reset: Callable[[Key], tuple[Any, Array]],
    step: Callable[[Key, Any, Array], tuple[Any, Array, Array, Array, Array]],
    spec: Spec,
) -> Env:
    """Wraps an environment's own functions: bounds, action repeat, time limit and dtypes.

    Args:
      reset: key -> (state, obs).
      step: (key, state, action in the environment's own shape and units) -> (state, obs, reward, terminated,
        truncated), without a reset.
      spec: shapes, bounds, `episode_length` and `action_repeat`. Rewards of repeated steps are added; an episode
        that ends during the repetition stays at its end.
    """

    def begin(key):
        inner, obs = reset(key)
        inner = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), inner)  # no number, no weak type
        return EnvState(inner, jnp.asarray(obs, spec.obs_dtype), jnp.zeros((), jnp.int32))

    def once(key, state, action):
        inner, obs, reward, terminated, truncated = step(key, state.inner, action)
        new = _like(EnvState(inner, obs, state.time + 1), state, spec.name)
        terminated = _number("terminated", terminated, bool, spec.name)
        truncated = (_number("truncated", truncated, bool, spec.name) | (new.time >= spec.episode_length)) & ~terminated
        return new, _number("reward", reward, jnp.float32, spec.name), terminated, truncated

    advance = once if spec.action_repeat == 1 else _repeated(once, spec.action_repeat)

    def act(key, state, action):
        new, reward, terminated, truncated = advance(key, state, spec.to_native(action))
        return new, Transition(
            obs=state.obs,
            action=action,
            reward=reward,
            discount=1 - terminated.astype(jnp.float32),
            truncated=truncated,
            next_obs=new.obs,
        )

    return Env(begin, act, spec)


def vectorize(env: Env, num_envs: int, reset_mode: ResetMode = "pool", pool_size: int = 64) -> VecEnv:
    """N copies of `env`; one whose episode has ended goes on from an initial state.

    Args:
      reset_mode: where that state comes from. "pool": drawn at random from `pool_size` states that `refresh` makes
        anew (once a chunk). "every-step": a fresh reset, computed on every step for every environment. "cached": the
        environment's own first state, for ever (what Brax's wrapper does).
      pool_size: P, the states to draw from under "pool".

    Returns:
      A `VecEnv` whose `step` gives transitions [N, ...] with the true `next_obs`, and as metrics the return (sum of
      rewards) and the length (in decisions) of the episodes that ended.
    """

    def fill(key):
        return jax.vmap(env.reset)(jax.random.split(key, pool_size if reset_mode == "pool" else num_envs))

    def reset(key):
        env_key, pool_key = jax.random.split(key)
        first = jax.vmap(env.reset)(jax.random.split(env_key, num_envs))
        pool = {"pool": lambda: fill(pool_key), "every-step": lambda: None, "cached": lambda: copy(first)}[reset_mode]()
        return VecEnvState(first, pool, jnp.zeros(num_envs), jnp.zeros(num_envs, jnp.int32))

    def refresh(key, state):
        return replace(state, pool=fill(key)) if reset_mode == "pool" else state

    def initial_states(key, pool):
        if reset_mode == "pool":
            # A random rotation for every `pool_size` environments: as even as a draw for each, and much cheaper.
            rotation = jnp.repeat(randint(key, (-(-num_envs // pool_size),), pool_size), pool_size)[:num_envs]
            index = (rotation + jnp.arange(num_envs)) % pool_size
            return jax.tree.map(lambda leaf: leaf[index], pool)
        return fill(key) if reset_mode == "every-step" else pool

    def step(key, state, action):
        new, transition = jax.vmap(env.step)(jax.random.split(key, num_envs), state.env, action)
        ended = transition.ended
        returns, lengths = state.episode_return + transition.reward, state.episode_steps + 1
        metrics = {"episode_return": _over(ended, returns), "episode_length": _over(ended, lengths)}
        # Most steps end nothing, and then no start is drawn; under `vmap` over seeds it always is.
        draw = lambda: initial_states(jax.random.fold_in(key, num_envs), state.pool)  # noqa: E731
        fresh = jax.lax.cond(ended.any(), draw, lambda: state.env)
        begun = jax.vmap(tree_where)(ended, fresh, new)
        returns, lengths = jnp.where(ended, 0, returns), jnp.where(ended, 0, lengths)  # 0 after a NaN, too
        return VecEnvState(begun, state.pool, returns, lengths), transition, metrics

    return VecEnv(reset, refresh, step)


def tree_where(condition: Array, true: Any, false: Any) -> Any:
    """`true` where `condition` [] holds, else `false`, for trees that may hold typed keys."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), true, false)


def copy(tree: Any) -> Any:
    """Arrays of their own, so that both trees can be donated."""
    return jax.tree.map(jnp.copy, tree)


def box(low: Any, high: Any, shape: tuple[int, ...], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The bounds as float32 arrays of `shape`.

    Raises:
      SettingError: a bound is infinite or `low` is not below `high`.
    """
    low, high = (np.broadcast_to(np.asarray(bound, np.float32), shape) for bound in (low, high))
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise SettingError(
            f"{name} has action bounds {low.tolist()} to {high.tolist()}; both must be finite, low < high."
        )
    return low, high


def one_array(obs: Any, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an observation.

    Raises:
      SettingError: it is not one array.
    """
    if not hasattr(obs, "shape"):
        raise SettingError(f"{name} observes a {type(obs).__name__} of arrays; a single one is needed.")
    return obs.shape, np.dtype(obs.dtype)


def _repeated(once: Callable[..., tuple], times: int) -> Callable[..., tuple]:
    """`once` over and over: (key, state, action) -> (state, sum of rewards, terminated, truncated)."""

    def repeated(key, state, action):
        def body(carry, key):
            state, total, terminated, truncated = carry
            new, reward, new_terminated, new_truncated = once(key, state, action)
            return tree_where(terminated | truncated, carry, (new, total + reward, new_terminated, new_truncated)), None

        start = (state, jnp.zeros(()), jnp.zeros((), bool), jnp.zeros((), bool))
        return jax.lax.scan(body, start, jax.random.split(key, times))[0]

    return repeated


def _over(mask: Array, values: Array) -> tuple[Array, Array]:
    """(sum, count) of the values [N] where `mask` [N] holds."""
    return jnp.where(mask, values, 0).sum().astype(jnp.float32), mask.sum().astype(jnp.float32)


def _like(new: EnvState, old: EnvState, name: str) -> EnvState:
    """`new` in the dtypes of `old`, so that a state can be carried through a loop.

    Raises:
      SettingError: the two differ in structure or shape, or a part would lose its fraction.
    """
    before, after = (dict(jax.tree.leaves_with_path(state)) for state in (old, new))
    for path in before.keys() ^ after.keys():
        there = "reset and not after step" if path in before else "step and not after reset"
        raise SettingError(f"{name} must have the same state throughout, and {_part(path)} is there after {there}.")

    def cast(path, new, old):
        new = jnp.asarray(new)
        if new.shape != old.shape:
            raise SettingError(f"{name}: {_part(path)} has shape {old.shape} after reset and {new.shape} after step.")
        if new.dtype != old.dtype and not np.can_cast(new.dtype, old.dtype, "same_kind"):
            raise SettingError(
                f"{name}: {_part(path)} is {old.dtype} after reset and {new.dtype} after step; let it start so."
            )
        return jnp.asarray(new, old.dtype)

    return jax.tree_util.tree_map_with_path(cast, new, old)


def _part(path: Any) -> str:
    """A part of a state by the name that its author knows."""
    return jax.tree_util.keystr(path).replace(".inner", "state", 1).removeprefix(".")


def _number(what: str, value: Any, dtype: Any, name: str) -> Array:
    """A scalar of this dtype.

    Raises:
      SettingError: it is none.
    """
    if jnp.shape(value):
        raise SettingError(f"{name} must give one {what} a step, and its shape is {jnp.shape(value)}.")
    return jnp.asarray(value, dtype)
