"""Renderers of environments: of every task that we ship, and of any environment that can render itself.

planar.py has the small tasks, mujoco_bodies.py Brax's and Playground's, pixels.py those observed as images;
animation.py writes what they draw.
"""

import importlib
import inspect
import math
from typing import Any

from ddpg_jax.core.settings import SettingError, check_count, shown
from ddpg_jax.core.types import Env
from ddpg_jax.envs.calls import called
from ddpg_jax.envs.objects import instance, is_own
from ddpg_jax.results.drawing.renderer import DEFAULT_DT, Renderer, to_rgb

# Prefix of an id -> the module whose `make` draws it, imported when it is first needed; "" is every other id.
MODULES = {
    "": "ddpg_jax.results.drawing.planar",
    "pixels/": "ddpg_jax.results.drawing.pixels",
    "brax/": "ddpg_jax.results.drawing.mujoco_bodies",
    "playground/": "ddpg_jax.results.drawing.mujoco_bodies",
}
MIN_SIZE, MAX_SIZE = 64, 1024  # pixels


def make_renderer(env: Any, size: int = 400, **options: Any) -> Renderer:
    """Returns the renderer of an environment.

    Args:
      env: an id, as for `make_env`; an object with Brax's `sys` or Playground's `mj_model`; an object with a
        `render(state) -> [H, W, 3]` of bytes or floats in [0, 1], where `state` is the object's own; or an `Env`, which
        is drawn by its name, or as the images that it is observed as.
      size: width and height in pixels; an object's own `render` chooses for itself.
      options: `backend` and `impl`, as for `make_env`; others change nothing about the images.

    Raises:
      SettingError: there is no way to draw it, no library to draw it with, or `size` cannot be used.
    """
    check_count("size", size)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise SettingError(f"size must be from {MIN_SIZE} to {MAX_SIZE:,} pixels, not {size}.")
    if is_own(env):
        found = instance(env)
        if not isinstance(found, Env) or found.spec.name != env:
            return make_renderer(found, size, **options)
        if found.spec.image:  # by its own name, which this is, nothing else can draw it
            return _module("pixels/").of_observations(size)
    if isinstance(env, str):
        prefix = max((prefix for prefix in MODULES if env.startswith(prefix)), key=len)
        given = {name: value for name, value in options.items() if value is not None}
        return _module(prefix).make(env, size, **given)
    if isinstance(env, Env):
        return _of_env(env, size, options)
    if hasattr(env, "sys") or hasattr(env, "mj_model"):
        return _module("brax/").of_object(env, size)
    return _of_render_method(env)


def _module(prefix: str) -> Any:
    """Returns the module for a prefix in `MODULES`."""
    return importlib.import_module(MODULES[prefix])


def _of_env(env: Env, size: int, options: dict[str, Any]) -> Renderer:
    try:
        return make_renderer(env.spec.name, size, **options)
    except SettingError:
        if not env.spec.image:
            raise
    return _module("pixels/").of_observations(size)


def _of_render_method(env: Any) -> Renderer:
    """Returns a renderer that calls an object's own `render`, if that can be called with a state alone."""
    name, render = str(getattr(env, "name", type(env).__name__)), getattr(env, "render", None)
    try:
        inspect.signature(render).bind("a state")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise SettingError(
            f"{name} cannot be drawn: it needs a `render` that takes a state and returns an image [H, W, 3] of bytes."
        ) from None
    assert render is not None
    dt = getattr(env, "dt", DEFAULT_DT)
    try:
        seconds = float(dt)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise SettingError(f"{name}.dt must be the seconds of a step, a number above 0, not {shown(dt)}.")
    return Renderer(lambda state: state.inner, lambda state: to_rgb(called(name, render, state), name), seconds)
