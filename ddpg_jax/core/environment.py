"""One environment as two pure functions: actions in [-1, 1], termination as a discount of 0, truncation as a flag."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.settings import INT32, SettingError, check_count, shown
from ddpg_jax.core.types import Array, Env, EnvState, Key, Spec, Transition

# Larger ones would keep the device busy for hours between two moments at which a run can be stopped.
MAX_EPISODE_LENGTH, MAX_ACTION_REPEAT = 100_000_000, 1_000
NUMBERS = (jnp.bool_, jnp.integer, jnp.floating)  # kinds of real numbers
OBSERVED = (jnp.bool_, jnp.integer, np.float16, np.float32, np.float64)  # those of them that a run folder names


def env_from_functions(
    reset: Callable[[Key], tuple[Any, Array]],
    step: Callable[[Key, Any, Array], tuple[Any, Array, Array, Array, Array]],
    spec: Spec,
) -> Env:
    """Returns an `Env` made of an environment's own functions, with action repeat and time limit added.

    Args:
      reset: key -> (state, obs).
      step: (key, state, action in the environment's own shape and units) -> (state, obs, reward, terminated,
        truncated); it must not reset.
      spec: shapes, bounds, `episode_length` and `action_repeat`. The rewards of repeated steps are added; an episode
        that ends while an action is repeated stays in its final state.

    Raises:
      SettingError: by the functions that are returned, where `reset` returns something else than `spec` asks for, or
        `step` something else than `reset` and `spec` do.
    """

    def begin(key):
        inner, obs = reset(key)
        return EnvState(as_state(inner, spec.name), _observed(obs, spec), jnp.zeros((), jnp.int32))

    def once(key, state, action):
        inner, obs, reward, terminated, truncated = step(key, state.inner, action)
        new = cast_like(EnvState(inner, obs, state.time + 1), state, spec.name)
        terminated = truth("terminated", terminated, spec.name)
        truncated = (truth("truncated", truncated, spec.name) | (new.time >= spec.episode_length)) & ~terminated
        return new, scalar("reward", reward, jnp.float32, spec.name), terminated, truncated

    repeated = once if spec.action_repeat == 1 else partial(_repeat, once, spec.action_repeat)

    def act(key, state, action):
        new, reward, terminated, truncated = repeated(key, state, spec.to_native(action))
        return new, Transition(
            obs=state.obs,
            action=action,
            reward=reward,
            discount=1 - terminated.astype(jnp.float32),
            truncated=truncated,
            next_obs=new.obs,
        )

    return Env(begin, act, spec)


def tree_where(condition: Array, true: Any, false: Any) -> Any:
    """Returns `true` where `condition` [] holds, else `false`, for trees that may hold typed keys."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), true, false)


def check_episode(episode_length: Any = None, action_repeat: Any = None) -> None:
    """Checks the time limit and the number of steps per action, where they are given.

    Raises:
      SettingError: one of them is not a whole number of at least 1, or is too large.
    """
    limits = {"episode_length": MAX_EPISODE_LENGTH, "action_repeat": MAX_ACTION_REPEAT}
    for name, value in (("episode_length", episode_length), ("action_repeat", action_repeat)):
        check_count(name, 1 if value is None else value)
        if value is not None and value > limits[name]:
            raise SettingError(f"{name} must be at most {limits[name]:,}, not {shown(value)}.")


def check_int32(name: str, value: Any, low: int = 0) -> None:
    """Checks that the argument called `name`, such as a seed, is a whole number from `low` to the largest int32.

    Raises:
      SettingError: it is not.
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or not low <= value <= INT32:
        raise SettingError(f"{name} must be from {low} to {INT32:,}, not {shown(value)}.")


def action_bounds(low: Any, high: Any, shape: tuple[int, ...], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bounds of the actions as float32 arrays of `shape`.

    Raises:
      SettingError: a bound is no number, infinite or of another shape, or `low` is not below `high`; or the shape has
        no number in it.
    """
    if not all(isinstance(size, int | np.integer) and size >= 1 for size in shape):
        raise SettingError(f"{name} must have actions of at least one number, not of the shape {shown(shape)}.")
    low, high = (_bound(bound, shape, name) for bound in (low, high))
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low  # which is infinite between the largest numbers, a way to write that there is no bound
    if not (np.isfinite(width).all() and (width > 0).all()):
        raise SettingError(
            f"{name} has action bounds {low.tolist()} to {high.tolist()}; both must be finite, and so must their "
            "difference, low < high."
        )
    return low, high


def obs_shape_and_dtype(reset: Callable[[Key], tuple[Any, Any]], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Returns shape and dtype of the observations of a `reset`, as for `env_from_functions`.

    Raises:
      SettingError: an observation is not one array of numbers, or an empty one.
    """

    def observe(key):
        obs = reset(key)[1]
        if not hasattr(obs, "shape"):
            raise SettingError(f"{name} observes a {type(obs).__name__}; a single array is needed.")
        return _as_array(name, "obs after reset", obs)

    obs = jax.eval_shape(observe, jax.random.key(0))
    if 0 in obs.shape or not _is_kind(obs.dtype, OBSERVED):
        raise SettingError(
            f"{name} must observe real numbers, at least one, and obs is an array of {obs.dtype} of shape {obs.shape}."
        )
    return obs.shape, np.dtype(obs.dtype)


def _is_kind(dtype: Any, kinds: tuple[Any, ...]) -> bool:
    return any(jnp.issubdtype(dtype, kind) for kind in kinds)


def _bound(bound: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Returns a bound of actions as a float32 array of `shape`."""
    try:
        if np.iscomplexobj(bound):
            raise TypeError
        return np.broadcast_to(np.asarray(bound, np.float32), shape)
    except (TypeError, ValueError):
        found = f"of shape {np.shape(bound)}" if isinstance(bound, np.ndarray | jax.Array) else shown(bound)
        raise SettingError(
            f"{name} must have action bounds that are numbers of the shape {shape} of its actions, not {found}."
        ) from None


def _as_array(name: str, what: str, value: Any) -> Array:
    """Returns a value as an array.

    Raises:
      SettingError: it is neither a number nor an array of numbers.
    """
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise SettingError(f"{name}: {what} must be a number or an array, not a {type(value).__name__}.") from None


def _repeat(once: Callable[..., tuple], times: int, key: Key, state: EnvState, action: Array) -> tuple:
    """Returns what `once` returns after `times` steps with the same action, rewards added; an end is kept as it is."""

    def body(carry, key):
        state, total, terminated, truncated = carry
        new, reward, new_terminated, new_truncated = once(key, state, action)
        return tree_where(terminated | truncated, carry, (new, total + reward, new_terminated, new_truncated)), None

    start = (state, jnp.zeros(()), jnp.zeros((), bool), jnp.zeros((), bool))
    return jax.lax.scan(body, start, jax.random.split(key, times))[0]


def as_state(inner: Any, name: str) -> Any:
    """Returns the state after a reset with arrays in it that have no weak type, which a step would change.

    Raises:
      SettingError: a part of it is neither a number nor an array of numbers.
    """

    def leaf_array(path, leaf):
        array = _as_array(name, f"state{jax.tree_util.keystr(path)} after reset", leaf)
        return jnp.asarray(array, array.dtype)

    return jax.tree_util.tree_map_with_path(leaf_array, inner)


def _observed(obs: Any, spec: Spec) -> Array:
    """Returns the observation after a reset in the dtype of the spec.

    Raises:
      SettingError: it has another shape than in the spec, or a cast would lose a fraction.
    """
    array = _as_array(spec.name, "obs after reset", obs)
    if array.shape != spec.obs_shape:
        raise SettingError(f"{spec.name}: obs has shape {spec.obs_shape} in its spec and {array.shape} after reset.")
    if not _can_cast(array.dtype, spec.obs_dtype):
        raise SettingError(f"{spec.name}: obs is {spec.obs_dtype} in its spec and {array.dtype} after reset.")
    return jnp.asarray(array, spec.obs_dtype)


def cast_like(new: EnvState, old: EnvState, name: str) -> EnvState:
    """Returns `new` in the dtypes of `old`, so that a state can be carried through a loop.

    Raises:
      SettingError: the two differ in structure or shape, or a cast would lose a fraction.
    """
    before, after = (dict(jax.tree.leaves_with_path(state)) for state in (old, new))
    for path in (path for path in (before | after) if (path in before) != (path in after)):
        where = "reset but not after step" if path in before else "step but not after reset"
        raise SettingError(f"{name} must keep the structure of its state, but {_name_of(path)} exists after {where}.")
    if difference := _structure_difference(*(jax.tree.structure(state.inner) for state in (old, new))):
        raise SettingError(f"{name} must keep the structure of its state, which has {difference}.")

    def cast(path, new, old):
        part = f"{name}: {_name_of(path)}"
        new = _as_array(name, f"{_name_of(path)} after step", new)
        if new.shape != old.shape:
            raise SettingError(f"{part} has shape {old.shape} after reset and {new.shape} after step.")
        if new.dtype != old.dtype and not _can_cast(new.dtype, old.dtype):
            raise SettingError(
                f"{part} is {old.dtype} after reset and {new.dtype} after step; reset must return {new.dtype}."
            )
        return jnp.asarray(new, old.dtype)

    return jax.tree_util.tree_map_with_path(cast, new, old)


def _structure_difference(old: Any, new: Any) -> str:
    """Returns in words where two tree structures with the same paths to their leaves differ; "" where they do not."""
    (was, fields), (is_now, fields_now) = (tree.node_data() or (None, None) for tree in (old, new))
    if was is not is_now:
        return f"{getattr(was, '__name__', was)} after reset and {getattr(is_now, '__name__', is_now)} after step"
    if fields != fields_now:
        return f"{getattr(was, '__name__', was)} with other fields outside the tree after reset than after step"
    return next(filter(None, map(_structure_difference, old.children(), new.children())), "")


def _can_cast(new: Any, old: Any) -> bool:
    """Returns whether numbers of one dtype become those of another without losing a fraction; random keys never do."""
    keys = (jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) for dtype in (new, old))
    return not any(keys) and np.can_cast(new, old, "same_kind")


def _name_of(path: Any) -> str:
    """Returns the name of a part of the state as the environment's author knows it."""
    return jax.tree_util.keystr(path).replace(".inner", "state", 1).removeprefix(".")


def truth(what: str, value: Any, name: str) -> Array:
    """Returns a value called `what` as a bool [], for the environment called `name`.

    Raises:
      SettingError: it is not one truth value; a number with a fraction is none.
    """
    array = _as_array(name, what, value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        raise SettingError(f"{name} must return a truth value as {what}, not one of {array.dtype}.")
    return scalar(what, array, bool, name)


def scalar(what: str, value: Any, dtype: Any, name: str) -> Array:
    """Returns a value called `what` as an array [] of this dtype, for the environment called `name`.

    Raises:
      SettingError: the value is not one real number.
    """
    array = _as_array(name, what, value)
    if array.shape:
        raise SettingError(f"{name} must return one {what} per step, not an array of shape {array.shape}.")
    if not _is_kind(array.dtype, NUMBERS):
        raise SettingError(f"{name} must return a real number as {what}, not one of {array.dtype}.")
    return array.astype(dtype)
