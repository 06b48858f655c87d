"""Brax's and MuJoCo Playground's tasks, drawn by MuJoCo from the positions of their joints."""

import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.envs.third_party import quiet
from ddpg_jax.results.drawing.drawing import Drawing
from ddpg_jax.results.drawing.studio import Studio, View, dressed

SIDE = View(90.0, -12.0, 3.5)
VIEWS = {
    "ant": View(130.0, -25.0, 5.5),
    "halfcheetah": SIDE,
    "hopper": SIDE,
    "walker2d": SIDE._replace(distance=4.0),
    "humanoid": View(130.0, -15.0, 4.0),
    "humanoidstandup": View(130.0, -20.0, 4.0),
    "inverted_pendulum": View(90.0, -10.0, 2.8, 0.25),
    "inverted_double_pendulum": View(90.0, -10.0, 4.0, 0.5),
    "pusher": View(150.0, -35.0, 2.8, -0.2),
    "reacher": View(90.0, -90.0, 0.75, 0.0),
    "swimmer": View(90.0, -60.0, 5.0),
}


def drawing(name: str, size: int, **options: Any) -> Drawing:
    """The drawing of a "brax/..." or "playground/..." id.

    Args:
      options: `backend` and `impl`, as for `make_env`.

    Raises:
      SettingError: the task has no bodies to be drawn.
    """
    suite, task = name.split("/", 1)
    with quiet():
        env = _LOAD[suite](task, **options)
    return of_object(env, size, VIEWS.get(task), name)


def _brax(task: str, backend: str | None = None, **options: Any) -> Any:
    from brax import envs

    return envs.get_environment(task, **({"backend": backend} if backend else {}))


def _playground(task: str, **options: Any) -> Any:
    from mujoco_playground import dm_control_suite

    return dm_control_suite.load(task)


_LOAD: dict[str, Callable[..., Any]] = {"brax": _brax, "playground": _playground}


def of_object(env: Any, size: int, view: View | None = None, name: str | None = None) -> Drawing:
    """The drawing of an object with Brax's `sys` or Playground's `mj_model`.

    Args:
      view: None takes the first camera that follows something, or one that sees the whole model.

    Raises:
      SettingError: it has neither.
    """
    system = getattr(env, "sys", None)
    model = getattr(env if system is None else system, "mj_model", None)
    if model is None:
        raise SettingError(f"{name or type(env).__name__} cannot be drawn: it has no bodies.")
    viewer = None if system is None else lambda parts, seconds: _page(system, parts, seconds)
    select = _of_playground if system is None else _of_brax
    return Drawing(select, _shots(model, size, view, system is not None), float(env.dt), viewer)


def _of_brax(state: Any) -> dict[str, Any]:
    """Joints and links. MJX's links are a physics step older than its joints, which are therefore what is drawn."""
    pipeline = state.inner.pipeline_state
    return {"q": pipeline.q, "x": pipeline.x}


def _of_playground(state: Any) -> dict[str, Any]:
    data = state.inner.data
    return {"q": data.qpos, "mocap_pos": data.mocap_pos, "mocap_quat": data.mocap_quat}


def _shots(model: Any, size: int, view: View | None, stock: bool) -> Callable[[Any], np.ndarray]:
    """Part of a state -> its picture. The studio is set up for the first one and goes with this function."""
    import mujoco

    model = dressed(model, size, stock)
    data = mujoco.MjData(model)
    studios: list[Studio] = []

    def picture(part):
        if not studios:
            studios.append(Studio(model, size, view))
        data.qpos[:] = part["q"]
        if "mocap_pos" in part:
            data.mocap_pos[:], data.mocap_quat[:] = part["mocap_pos"], part["mocap_quat"]
        for compute in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_camlight):
            compute(model, data)
        return studios[0].shoot(data)

    return picture


def _page(system: Any, parts: list[Any], seconds: float) -> str:
    """Brax's own viewer. Its code is not in the page: a browser loads it from the network."""
    from brax.io import html

    system = system.tree_replace({"opt.timestep": seconds})  # by which the viewer keeps time
    with quiet():
        return html.render(system, [types.SimpleNamespace(x=part["x"]) for part in parts], height="100vh", colab=False)
