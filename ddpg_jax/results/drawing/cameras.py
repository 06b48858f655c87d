"""Where MuJoCo's camera is for each of Brax's tasks: close enough that limbs can be told apart."""

from typing import Any, NamedTuple


class View(NamedTuple):
    """Where the camera is: angles in degrees, and its distance in meters from the point that it looks at."""

    azimuth: float = 130.0
    elevation: float = -20.0
    distance: float = 4.5
    height: float | None = None  # of a fixed point, in meters above the origin; None follows the first body


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


def create_camera(model: Any, view: View | None) -> Any:
    """Creates the camera of a view, as `mujoco.Renderer.update_scene` takes it.

    Args:
      model: the `MjModel`.
      view: None takes the model's first camera, or one that shows all of the model if it has none.
    """
    import mujoco

    if view is None:
        return 0 if model.ncam else -1
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation, camera.distance = view.azimuth, view.elevation, view.distance
    if view.height is None:
        camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, 1
    else:
        camera.lookat[:] = 0, 0, view.height
    return camera
