"""A room in which MuJoCo takes pictures of a model: its camera, its light, and the colors of stock models."""

import copy
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.results.drawing.gl import context
from ddpg_jax.results.drawing.paper import PAPER

STOCK = ((0.4, 0.33, 0.26), (0.8, 0.6, 0.4))  # Brax's models are all of them brown
BODY, DARK_TILE, LIGHT_TILE, SKY = (0.87, 0.51, 0.22, 1.0), (205, 213, 220), (232, 236, 239), (214, 228, 238)
GOALS, GOAL = ("target", "goal"), (0.26, 0.62, 0.38, 1.0)  # by the names of bodies' shapes
TWO_D, SKYBOX = 0, 2  # MuJoCo's kinds of texture


class View(NamedTuple):
    """From where a task is seen: angles in degrees, and the distance in metres from what is looked at."""

    azimuth: float = 130.0
    elevation: float = -20.0
    distance: float = 4.5
    height: float | None = None  # of a fixed point to look at, in metres above the origin; None follows the first body


def dressed(model: Any, size: int, stock: bool) -> Any:
    """A copy of the model that can be drawn with `size` x `size` pixels.

    Args:
      stock: bright colors in place of Brax's brown, black and white.
    """
    model = copy.copy(model)
    model.vis.global_.offwidth, model.vis.global_.offheight = max(size, 64), max(size, 64)
    if not stock:
        return model
    model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:], model.vis.headlight.specular[:] = 0.4, 0.35, 0.1
    model.light_diffuse[:], model.light_specular[:] = 0.45, 0.1
    brown = np.isclose(model.geom_rgba[:, None, :3], np.array(STOCK), atol=1e-3).all(-1).any(-1) & (model.geom_type > 0)
    model.geom_rgba[brown], model.geom_matid[brown] = BODY, -1
    goals = [model.geom(i).name in GOALS for i in range(model.ngeom)]
    model.geom_rgba[goals] = GOAL
    model.light_castshadow[:] = False  # scraps of them lie about where the light's view ends
    model.mat_reflectance[:] *= 0.4
    model.mat_specular[:] *= 0.2
    for kind, address, pixels in zip(model.tex_type, model.tex_adr, _pixels(model), strict=True):
        data = model.tex_data[address : address + 3 * pixels].reshape(-1, 3)
        if kind == SKYBOX:
            data[:] = SKY
        elif kind == TWO_D:
            data[:] = np.where(data.mean(axis=1, keepdims=True) > 100, LIGHT_TILE, DARK_TILE)
            model.geom_rgba[model.geom_type == 0] = 1
    return model


def _pixels(model: Any) -> np.ndarray:
    return np.multiply(model.tex_width, model.tex_height, dtype=np.int64)


class Studio:
    """Takes pictures of one model; it holds what only MuJoCo can free.

    Args:
      model: as `dressed` returns it.
      size: of the pictures in pixels.
      view: None takes the model's first camera, or one that sees all of the model.

    Raises:
      SettingError: there is no OpenGL.
    """

    def __init__(self, model: Any, size: int, view: View | None):
        import mujoco

        self._context = context(size)
        self._model, self._option = model, mujoco.MjvOption()
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._gl = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._gl)
        self._rectangle = mujoco.MjrRect(0, 0, size, size)
        self._camera = _camera(model, view)
        self._bytes = np.zeros((size, size, 3), np.uint8)

    def shoot(self, data: Any) -> np.ndarray:
        """[size, size, 3] the picture of a model's state, whose kinematics are computed; black emptiness is paper."""
        import mujoco

        self._context.make_current()
        every = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, every, self._scene)
        mujoco.mjr_render(self._rectangle, self._scene, self._gl)
        mujoco.mjr_readPixels(self._bytes, None, self._rectangle, self._gl)
        picture = self._bytes[::-1].copy()
        if SKYBOX not in self._model.tex_type:
            picture[~picture.any(axis=-1)] = PAPER
        return picture

    def close(self) -> None:
        """Gives back what was held."""
        self._context.make_current()
        self._gl.free()
        self._context.free()


def _camera(model: Any, view: View | None) -> Any:
    import mujoco

    camera = mujoco.MjvCamera()
    if view is None and model.ncam:
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
    elif view is None:
        mujoco.mjv_defaultFreeCamera(model, camera)
    else:
        camera.azimuth, camera.elevation, camera.distance = view[:3]
        if view.height is None:
            camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, 1
        else:
            camera.lookat[:] = 0, 0, view.height
    return camera
