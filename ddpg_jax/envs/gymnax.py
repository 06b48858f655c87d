"""Adapter for gymnax >= 1.0 environments, and for any object in their style."""

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.environment import action_bounds, env_from_functions, obs_shape_and_dtype
from ddpg_jax.core.settings import SettingError, check_count, shown
from ddpg_jax.core.types import Env, Spec
from ddpg_jax.envs.calls import called, results

DEFAULT_LENGTH = 1000
OPTIONS = ("episode_length", "action_repeat")
STEP = ("obs", "state", "reward", "terminated", "info")  # what `step_env` returns
MOUNTAIN_CAR = "MountainCarContinuous-v0"
RETURNS = "reset_env returns (obs, state), and step_env (obs, state, reward, terminated, info)"
STYLE = ("reset_env", "step_env", "action_space")  # the attributes of an object that `wrap` takes


class Functions(NamedTuple):
    """The functions and bounds of an environment, which lack only the observations' shape and dtype to be an `Env`."""

    reset: Callable[..., tuple]  # key -> (state, obs)
    step: Callable[..., tuple]  # (key, state, action) -> (state, obs, reward, terminated, truncated)
    name: str
    low: np.ndarray
    high: np.ndarray
    length: int  # time limit in steps


def names() -> list[str]:
    """Returns the registered ids; `make` refuses those whose actions are discrete."""
    return list(_gymnax().registered_envs)


def make(name: str, **options: Any) -> Env:
    """Returns a registered environment; `options` are those of `wrap`."""
    env, params = registered(name)
    return wrap(env, params, name=name, **options)


def registered(name: str) -> tuple[Any, Any]:
    """Returns a registered environment and its parameters, as `gymnax.make` does, corrected where it needs to be."""
    env, params = _gymnax().make(name)
    if name == MOUNTAIN_CAR:
        env.step_env = _stopping_at_the_wall(env)
    return env, params


def _stopping_at_the_wall(env: Any) -> Callable[..., tuple]:
    """Returns the mountain car's `step_env`, in which the left wall stops the car, as in Gymnasium.

    gymnax 1.0.1 tests the other end of the track, so a car that hits the wall keeps its speed and is stuck there for as
    long as it takes to turn it.
    """
    unstopped = env.step_env

    def step_env(key, state, action, params):
        _, state, *rest = unstopped(key, state, action, params)
        stopped = (state.position <= params.min_position) & (state.velocity < 0)
        state = state.replace(velocity=jnp.where(stopped, 0.0, state.velocity))
        return env.get_obs(state), state, *rest

    return step_env


def wrap(
    env: Any, params: Any = None, *, name: str | None = None, episode_length: int | None = None, action_repeat: int = 1
) -> Env:
    """Returns an `Env` from an object with gymnax's `reset_env`, `step_env`, `action_space` and maybe `is_truncated`.

    Args:
      env: the object.
      params: its parameters; by default `env.default_params`.
      name: for messages and file names; by default the object's `name` or the name of its class.
      episode_length: the time limit in steps; by default the environment's own, or 1000 if it has none.
      action_repeat: steps per action.

    Raises:
      SettingError: the actions are not a box with finite bounds, the observation is not one array, or a wrapper
        overrides `reset` or `step` alone.
    """
    reset, step, name, low, high, length = functions_of(env, params, name, episode_length)
    shape, dtype = obs_shape_and_dtype(reset, name)
    return env_from_functions(reset, step, Spec(name, shape, dtype, low, high, length, action_repeat))


def functions_of(env: Any, params: Any = None, name: str | None = None, episode_length: int | None = None) -> Functions:
    """Returns the functions and bounds from which `wrap` makes an `Env`; the arguments are those of `wrap`.

    The functions call `step_env` and `reset_env`, not `step` and `reset`: `step` computes a reset at every step, and
    does not return the final state.

    Raises:
      SettingError: the actions are not a box with finite bounds, or a wrapper overrides `reset` or `step` alone.
    """
    params = getattr(env, "default_params", None) if params is None else params
    name = name or str(getattr(env, "name", type(env).__name__))
    _refuse_wrappers(env, name)
    if not callable(env.action_space):
        raise SettingError(f"{name}.action_space must be a method that returns the box, as action_space(params).")
    space = called(name, env.action_space, params)
    if not all(hasattr(space, bound) for bound in ("low", "high", "shape")):
        if not hasattr(space, "n"):
            raise SettingError(f"{name}.action_space must return a box with low, high and shape, not {shown(space)}.")
        raise SettingError(
            f"{name} has discrete actions ({space}); a deterministic policy gradient needs a continuous box."
        )
    shape = called(name, tuple, space.shape)
    low, high = action_bounds(space.low, space.high, shape, name)
    episode_length, params = _time_limit(env, params, name, episode_length)
    is_truncated = getattr(env, "is_truncated", lambda state, params: jnp.zeros((), bool))

    def reset(key):
        obs, state = results(name, "reset_env", ("obs", "state"), called(name, env.reset_env, key, params))
        return state, obs

    def step(key, state, action):
        returned = called(name, env.step_env, key, state, action, params)
        obs, state, reward, terminated, _ = results(name, "step_env", STEP, returned)
        return state, obs, reward, terminated, called(name, is_truncated, state, params)

    return Functions(reset, step, name, low, high, episode_length)


def _refuse_wrappers(env: Any, name: str) -> None:
    """Raises a SettingError where a wrapper or a class overrides `reset` or `step`, but not `reset_env` or `step_env`.

    Only the latter are called, so what the others do would be left out without a word.
    """
    layer = env
    while layer is not None:
        own, kind = getattr(layer, "__dict__", {}), type(layer)
        for overridden, wanted in (("reset", "reset_env"), ("step", "step_env")):
            first = next((base for base in kind.__mro__ if overridden in vars(base) or wanted in vars(base)), None)
            if first is not None and wanted not in vars(first) and wanted not in own:
                raise SettingError(
                    f"{name}: {kind.__name__} overrides {overridden}, which is not called; override {wanted}, or pass "
                    f"the environment without its {kind.__name__}."
                )
        layer = own.get("_env")


def _gymnax() -> ModuleType:
    """Imports gymnax, without the plotting libraries that a few of its `render` methods need.

    They would take two thirds of the time of the import; they are imported when such a method is called.
    """
    heavy = [name for name in ("matplotlib.pyplot", "seaborn") if name not in sys.modules]
    sys.modules.update({name: _LazyModule(name) for name in heavy})
    try:
        import gymnax
    finally:
        for name in heavy:
            sys.modules.pop(name, None)
    return gymnax


class _LazyModule(ModuleType):
    """A module that is imported when one of its attributes is read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # read by the import system itself
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # read while gymnax is still being imported
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _time_limit(env: Any, params: Any, name: str, episode_length: int | None) -> tuple[int, Any]:
    """Returns the time limit, and parameters with one that is a step later, so that it is never reached.

    In environments written for gymnax before 1.0 the time limit is part of `done` and would look like a termination,
    also where they have the `is_truncated` of the base class of gymnax 1.0.
    """
    own = getattr(params, "max_steps_in_episode", None)
    if own is None:
        return episode_length or DEFAULT_LENGTH, params
    length = episode_length or called(f"{name}: max_steps_in_episode", int, own)
    check_count(f"{name}: max_steps_in_episode", length)
    replace = getattr(params, "replace", getattr(params, "_replace", None))  # of flax.struct, of a NamedTuple
    if replace is None:
        if own > length or (own == length and hasattr(env, "is_truncated")):
            return length, params
        raise SettingError(
            f"{name} must have params with replace, as those of flax.struct, so that its max_steps_in_episode can be "
            "told from a termination."
        )
    return length, called(name, functools.partial(replace, max_steps_in_episode=length + 1))
