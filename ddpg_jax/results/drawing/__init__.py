"""Pictures of environments for people: every task that we ship, and any environment that can draw itself.

flat.py draws the small ones on paper, physics.py those with bodies by MuJoCo, pixels.py beside what the agent sees.
"""

import importlib
import inspect
from typing import Any

from ddpg_jax.core.settings import SettingError, count
from ddpg_jax.core.types import Env
from ddpg_jax.results.drawing.drawing import Drawing, as_picture

# id prefix -> the module of this folder that draws what begins with it
FAMILIES = {"": "flat", "lqr": "flat", "pixels/": "pixels", "brax/": "physics", "playground/": "physics"}
LEAST, MOST = 64, 1024  # pixels


def drawer(env: Any, size: int = 400, **options: Any) -> Drawing:
    """How an environment is drawn.

    Args:
      env: an id, as for `make_env`; an object with Brax's `sys` or Playground's `mj_model`; an object with a
        `render(state) -> [H, W, 3]` of bytes or floats in [0, 1], where `state` is the object's own; or an `Env`, which
        is drawn by its name, or as the images that it is observed as.
      size: width and height in pixels; an object's own `render` chooses for itself.
      options: `backend` and `impl`, as for `make_env`; others change nothing about the drawing.

    Raises:
      SettingError: there is no way to draw it, no library to draw it with, or `size` cannot be used.
    """
    count("size", size)
    if not LEAST <= size <= MOST:
        raise SettingError(f"size must be from {LEAST} to {MOST:,} pixels, not {size}.")
    if isinstance(env, str):
        return _family(env).drawing(env, size, **{name: value for name, value in options.items() if value is not None})
    if isinstance(env, Env):
        return _by_spec(env, size, options)
    if hasattr(env, "sys") or hasattr(env, "mj_model"):
        return importlib.import_module("ddpg_jax.results.drawing.physics").of_object(env, size)
    return _by_itself(env)


def _family(name: str) -> Any:
    prefix = max((prefix for prefix in FAMILIES if name.startswith(prefix)), key=len)
    return importlib.import_module(f"ddpg_jax.results.drawing.{FAMILIES[prefix]}")


def _by_spec(env: Env, size: int, options: dict[str, Any]) -> Drawing:
    try:
        return drawer(env.spec.name, size, **options)
    except SettingError:
        if not env.spec.image:
            raise
    return importlib.import_module("ddpg_jax.results.drawing.pixels").of_observations(size)


def _by_itself(env: Any) -> Drawing:
    """An object's own `render`, if it can be called with a state alone."""
    name, render = str(getattr(env, "name", type(env).__name__)), getattr(env, "render", None)
    try:
        inspect.signature(render).bind("a state")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise SettingError(
            f"{name} cannot be drawn: it needs a `render` that takes a state and returns a picture [H, W, 3] of bytes."
        ) from None
    assert render is not None
    return Drawing(
        lambda state: state.inner, lambda state: as_picture(render(state), name), float(getattr(env, "dt", 0.05))
    )
