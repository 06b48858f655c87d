"""gymnax >= 1.0 environments, and any object written in their style."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.environment import action_bounds, env_from_functions, obs_shape_and_dtype
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env, Spec

DEFAULT_LENGTH = 1000
OPTIONS = ("episode_length", "action_repeat")
STYLE = ("reset_env", "step_env", "action_space")  # the attributes of an object that `wrap` takes


class Parts(NamedTuple):
    """An environment taken apart: what `door` needs, without observations' shape and dtype."""

    reset: Callable[..., tuple]  # key -> (state, obs)
    step: Callable[..., tuple]  # (key, state, action) -> (state, obs, reward, terminated, truncated)
    name: str
    low: np.ndarray
    high: np.ndarray
    length: int  # time limit in steps


def names() -> list[str]:
    """The registered ids; `make` refuses those whose actions are discrete."""
    return list(_gymnax().registered_envs)


def make(name: str, **options: Any) -> Env:
    """A registered environment; `options` as for `wrap`."""
    env, params = _gymnax().make(name)
    return wrap(env, params, name=name, **options)


def wrap(
    env: Any, params: Any = None, *, name: str | None = None, episode_length: int | None = None, action_repeat: int = 1
) -> Env:
    """An object with gymnax's `reset_env`, `step_env`, `action_space` and, if it has one, `is_truncated`.

    Args:
      params: its parameters; by default `env.default_params`.
      episode_length: the time limit in steps; by default the environment's own, or 1000 if it has none.

    Raises:
      SettingError: the actions are not a box with finite bounds, or the observation is not one array.
    """
    reset, step, name, low, high, length = parts(env, params, name, episode_length)
    shape, dtype = obs_shape_and_dtype(jax.eval_shape(reset, jax.random.key(0))[1], name)
    return env_from_functions(reset, step, Spec(name, shape, dtype, low, high, length, action_repeat))


def parts(env: Any, params: Any = None, name: str | None = None, episode_length: int | None = None) -> Parts:
    """The plain functions behind `wrap`, with its arguments.

    Neither `step` nor `reset` is called: `step` computes a whole reset at every step and hides the final state.

    Raises:
      SettingError: the actions are not a box with finite bounds.
    """
    params = getattr(env, "default_params", None) if params is None else params
    name = name or str(getattr(env, "name", type(env).__name__))
    space = env.action_space(params)
    if not hasattr(space, "low"):
        raise SettingError(
            f"{name} has discrete actions ({space}); a deterministic policy gradient needs a continuous box."
        )
    low, high = action_bounds(space.low, space.high, tuple(space.shape), name)
    episode_length, params = _limit(env, params, episode_length)
    is_truncated = getattr(env, "is_truncated", lambda state, params: jnp.zeros((), bool))

    def reset(key):
        obs, state = env.reset_env(key, params)
        return state, obs

    def step(key, state, action):
        obs, state, reward, terminated, _ = env.step_env(key, state, action, params)
        return state, obs, reward, terminated, is_truncated(state, params)

    return Parts(reset, step, name, low, high, episode_length)


def _gymnax() -> ModuleType:
    """gymnax, without the libraries that a few `render` methods draw with: those wait until one is called.

    They are two thirds of what its import takes.
    """
    heavy = [name for name in ("matplotlib.pyplot", "seaborn") if name not in sys.modules]
    sys.modules.update({name: _Later(name) for name in heavy})
    try:
        import gymnax
    finally:
        for name in heavy:
            sys.modules.pop(name, None)
    return gymnax


class _Later(ModuleType):
    """A module that is imported when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # asked while gymnax is still being imported
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _limit(env: Any, params: Any, episode_length: int | None) -> tuple[int, Any]:
    """The time limit, and parameters that agree with it.

    An object without `is_truncated` follows gymnax before 1.0, where the limit is part of `done` and so would look
    like a termination: its own limit is put one step later and never reached.
    """
    own = getattr(params, "max_steps_in_episode", None)
    if own is None:
        return episode_length or DEFAULT_LENGTH, params
    length = episode_length or int(own)
    inner = length if hasattr(env, "is_truncated") else length + 1
    return length, params if inner == own else params.replace(max_steps_in_episode=inner)
