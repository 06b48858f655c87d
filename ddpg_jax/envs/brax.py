"""Adapter for Brax environments, and for any object in their style, such as MuJoCo Playground's."""

import types
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.environment import action_bounds, env_from_functions, obs_shape_and_dtype, scalar
from ddpg_jax.core.settings import SettingError, check_count
from ddpg_jax.core.types import Env, Spec
from ddpg_jax.envs.calls import attribute, called
from ddpg_jax.envs.third_party import suppress_known_noise

DEFAULT_LENGTH = 1000
BACKENDS = ("mjx", "spring", "positional", "generalized")
OPTIONS = ("backend", "episode_length", "action_repeat")
RETURNS = "reset and step return a state with obs, reward and done"
STYLE = ("reset", "step", "action_size")  # the attributes of an object that `wrap` takes


def names() -> list[str]:
    """Returns the names of the registered tasks."""
    with suppress_known_noise():
        from brax import envs
    return list(envs._envs)


def make(name: str, *, backend: str | None = None, **options: Any) -> Env:
    """Returns a registered task.

    Args:
      name: without the prefix "brax/".
      backend: the physics, one of `BACKENDS`; by default the task's own choice.
      options: those of `wrap`.

    Raises:
      SettingError: the task does not run on this backend.
    """
    if backend not in (None, *BACKENDS):
        raise SettingError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}.")
    with suppress_known_noise():
        from brax import envs, fluid

        # brax 0.14.2 calls `clip(a_min=...)` in its swimmer, which jax 0.10 has removed.
        fluid.jp = types.SimpleNamespace(**{**vars(jnp), "clip": _clip})
        try:
            env = envs.get_environment(name, **({"backend": backend} if backend else {}))
        except ValueError as error:
            raise SettingError(f"brax/{name} does not run on the {backend} backend.") from error
        return wrap(env, name=f"brax/{name}", **options)


def wrap(
    env: Any,
    *,
    name: str | None = None,
    episode_length: int | None = None,
    action_repeat: int = 1,
    action_low: Any = -1.0,
    action_high: Any = 1.0,
) -> Env:
    """Returns an `Env` from an object with Brax's `reset(key) -> State`, `step(State, action) -> State`, `action_size`.

    Args:
      env: the object, without wrappers that reset automatically or step a batch.
      name: for messages and file names; by default the name of its class.
      episode_length: the time limit in steps; by default 1000.
      action_repeat: steps per action.
      action_low, action_high: bounds [A] of the actions that `step` takes; by default -1 and 1, as in Brax.

    Raises:
      SettingError: the environment resets automatically or is batched, or its observation is not one array.
    """
    name = name or type(env).__name__
    _refuse_wrappers(env, name)
    check_count(f"{name}: action_size", env.action_size)
    low, high = action_bounds(action_low, action_high, (env.action_size,), name)

    def reset(key):
        state = called(name, env.reset, key)
        return state, attribute(name, "reset", state, "obs")

    def step(key, state, action):
        state = called(name, env.step, _copy(state), action)
        obs, reward, done = (attribute(name, "step", state, field) for field in ("obs", "reward", "done"))
        info = getattr(state, "info", None)
        told = info.get("truncation", False) if isinstance(info, Mapping) else False  # by Brax's EpisodeWrapper
        truncated = scalar("truncation", told, bool, name)
        return state, obs, reward, scalar("done", done, bool, name) & ~truncated, truncated

    shape, dtype = obs_shape_and_dtype(reset, name)
    length = episode_length or DEFAULT_LENGTH
    return env_from_functions(reset, step, Spec(name, shape, dtype, low, high, length, action_repeat))


def _copy(state: Any) -> Any:
    """Returns a state in new containers, because many environments write into the dict `info` in place."""
    return jax.tree.map(lambda leaf: leaf, state)


def _refuse_wrappers(env: Any, name: str) -> None:
    """Raises a SettingError where a wrapper resets automatically, which hides final states, or steps a batch."""
    while env is not None:
        layer = type(env).__name__
        if "AutoReset" in layer or "Vmap" in layer:
            raise SettingError(f"{name} resets automatically or is batched; pass it without its {layer}.")
        env = getattr(env, "__dict__", {}).get("env")


def _clip(x: Any, *bounds: Any, a_min: Any = None, **named: Any) -> Any:
    """Clips as `jnp.clip` does, and accepts its former argument `a_min`."""
    return jnp.clip(x, *bounds, **named) if a_min is None else jnp.maximum(x, a_min)
