"""Renderers of Brax's and MuJoCo Playground's tasks, drawn by `mujoco.Renderer` from the positions of their joints.

`brax.io.image` draws the same bodies, but brown on black and white, from so far away that an ant is 60 of 400 pixels
wide, in 480 lines at most, and with a renderer of its own for every call. So the camera and the colors are ours.
"""

import copy
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.envs.third_party import suppress_known_noise
from ddpg_jax.results.drawing.brax_style import TEXTURE_SKYBOX, recolor
from ddpg_jax.results.drawing.cameras import VIEWS, View, create_camera
from ddpg_jax.results.drawing.canvas import BACKGROUND
from ddpg_jax.results.drawing.opengl import create_renderer
from ddpg_jax.results.drawing.renderer import Renderer


def make(name: str, size: int, **options: Any) -> Renderer:
    """Returns the renderer of a "brax/..." or "playground/..." id.

    Args:
      name: the id.
      size: width and height in pixels.
      options: Brax's `backend`; others change nothing about the images.

    Raises:
      SettingError: the task has no bodies to draw.
    """
    suite, task = name.split("/", 1)
    with suppress_known_noise():
        env = _load_brax(task, options.get("backend")) if suite == "brax" else _load_playground(task)
    return of_object(env, size, VIEWS.get(task), name)


def _load_brax(task: str, backend: str | None) -> Any:
    from brax import envs

    return envs.get_environment(task, **({"backend": backend} if backend else {}))


def _load_playground(task: str) -> Any:
    from mujoco_playground import dm_control_suite

    return dm_control_suite.load(task, config_overrides={"impl": "jax"})  # as it is trained; "warp" wants a GPU


def of_object(env: Any, size: int, view: View | None = None, name: str | None = None) -> Renderer:
    """Returns the renderer of an object with Brax's `sys` or Playground's `mj_model`.

    Args:
      env: the object.
      size: width and height in pixels.
      view: None takes the model's first camera, or one that shows all of the model if it has none.
      name: the environment, for the error message.

    Raises:
      SettingError: the object has neither.
    """
    system = getattr(env, "sys", None)
    model = getattr(env if system is None else system, "mj_model", None)
    if model is None:
        raise SettingError(f"{name or type(env).__name__} cannot be drawn: it has no bodies.")
    model = copy.copy(model)
    model.vis.global_.offwidth = model.vis.global_.offheight = max(size, 64)
    if system is None:
        return Renderer(_select_playground, _draw_function(model, size, view), float(env.dt))
    recolor(model)
    html = functools.partial(_brax_html, system)
    return Renderer(_select_brax, _draw_function(model, size, view), float(env.dt), html)


def _select_brax(state: Any) -> dict[str, Any]:
    """Returns joints and links; images show the joints, since MJX's links are one physics step older."""
    pipeline = state.inner.pipeline_state
    return {"q": pipeline.q, "x": pipeline.x}


def _select_playground(state: Any) -> dict[str, Any]:
    data = state.inner.data
    return {"q": data.qpos, "mocap_pos": data.mocap_pos, "mocap_quat": data.mocap_quat}


def _draw_function(model: Any, size: int, view: View | None) -> Callable[[Any], np.ndarray]:
    """Returns the selected part of a state -> its image [size, size, 3] uint8."""
    import mujoco

    data, camera = mujoco.MjData(model), create_camera(model, view)
    renderer = functools.cache(functools.partial(create_renderer, model, size))  # Brax's HTML page needs no OpenGL

    def draw(part):
        data.qpos[:] = part["q"]
        if "mocap_pos" in part:
            data.mocap_pos[:], data.mocap_quat[:] = part["mocap_pos"], part["mocap_quat"]
        mujoco.mj_forward(model, data)
        renderer().update_scene(data, camera)
        image = renderer().render()
        if TEXTURE_SKYBOX not in model.tex_type:  # MuJoCo leaves what is behind everything black
            image[~image.any(axis=-1)] = BACKGROUND
        return image

    return draw


def _brax_html(system: Any, parts: list[Any], dt: float) -> str:
    """Returns Brax's own viewer as an HTML page, for whose code a browser needs the network."""
    from brax.io import html

    system = system.tree_replace({"opt.timestep": dt})  # the viewer's seconds from one state to the next
    states = [types.SimpleNamespace(x=part["x"]) for part in parts]
    with suppress_known_noise():
        return html.render(system, states, height="100vh", colab=False)
