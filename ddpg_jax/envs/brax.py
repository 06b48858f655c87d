"""Brax environments, and any object written in their style (MuJoCo Playground's are)."""

import types
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.environment import action_bounds, env_from_functions, obs_shape_and_dtype
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env, Spec
from ddpg_jax.envs.third_party import quiet

DEFAULT_LENGTH = 1000
BACKENDS = ("mjx", "spring", "positional", "generalized")
OPTIONS = ("backend", "episode_length", "action_repeat")
STYLE = ("reset", "step", "action_size")  # the attributes of an object that `wrap` takes


def names() -> list[str]:
    """The tasks that brax registers."""
    with quiet():
        from brax import envs
    return list(envs._envs)


def make(name: str, *, backend: str | None = None, **options: Any) -> Env:
    """A registered task.

    Args:
      backend: one of `BACKENDS`; by default the task's own choice.
      options: as for `wrap`.

    Raises:
      SettingError: the task does not run on this backend.
    """
    if backend not in (None, *BACKENDS):
        raise SettingError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}.")
    with quiet():
        from brax import envs, fluid

        # brax 0.14.2 still calls `clip(a_min=...)`, which jax 0.10 has removed; only swimmer gets there.
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
    """An object with Brax's `reset(key) -> State`, `step(State, action) -> State` and `action_size`.

    Args:
      episode_length: the time limit in steps; by default 1000.
      action_low, action_high: bounds [A] of the actions that `step` takes; by default Brax's own convention.

    Raises:
      SettingError: the environment restarts by itself or is batched, or its observation is not one array.
    """
    name = name or type(env).__name__
    _refuse_wrappers(env, name)
    low, high = action_bounds(action_low, action_high, (env.action_size,), name)

    def reset(key):
        state = env.reset(key)
        return state, state.obs

    def step(key, state, action):
        state = env.step(jax.tree.map(lambda leaf: leaf, state), action)  # a copy: many write into `info` in place
        truncated = jnp.asarray(getattr(state, "info", {}).get("truncation", False), bool)  # by Brax's EpisodeWrapper
        return state, state.obs, state.reward, jnp.asarray(state.done, bool) & ~truncated, truncated

    shape, dtype = obs_shape_and_dtype(jax.eval_shape(reset, jax.random.key(0))[1], name)
    length = episode_length or DEFAULT_LENGTH
    return env_from_functions(reset, step, Spec(name, shape, dtype, low, high, length, action_repeat))


def _refuse_wrappers(env: Any, name: str) -> None:
    """Raises where a layer restarts by itself, and so hides final states, or steps a whole batch."""
    while env is not None:
        layer = type(env).__name__
        if "AutoReset" in layer or "Vmap" in layer:
            raise SettingError(f"{name} restarts by itself or is batched; pass it without its {layer}.")
        env = getattr(env, "__dict__", {}).get("env")


def _clip(x: Any, *bounds: Any, a_min: Any = None, **named: Any) -> Any:
    """`jnp.clip` that still knows `a_min`."""
    return jnp.clip(x, *bounds, **named) if a_min is None else jnp.maximum(x, a_min)
