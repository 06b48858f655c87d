"""The table of the tasks that are drawn in two dimensions, without MuJoCo."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.drawing import classic_control, top_down
from ddpg_jax.results.drawing.renderer import Renderer


class Task(NamedTuple):
    """How a task is drawn, and the seconds of one of its steps."""

    make_draw: Callable[[int], classic_control.Draw]
    dt: float


TASKS = {
    "Pendulum-v1": Task(classic_control.pendulum, 0.05),
    "MountainCarContinuous-v0": Task(classic_control.mountain_car, 1 / 30),  # it has no dt: Gymnasium's frame rate
    "PointRobot-misc": Task(top_down.point_robot, 0.1),  # nor has this one
    "Reacher-misc": Task(top_down.reacher, 0.05),
    "Swimmer-misc": Task(top_down.swimmer, 0.05),
    "lqr": Task(classic_control.lqr, 0.1),
}


def make(name: str, size: int, **options: Any) -> Renderer:
    """Returns the renderer of a task of `TASKS`, which the options do not change.

    Raises:
      SettingError: the task is not among them.
    """
    if name not in TASKS:
        raise SettingError(f"{name} cannot be drawn; of its kind {', '.join(TASKS)} can.")
    make_draw, dt = TASKS[name]
    return Renderer(lambda state: state.inner, make_draw(size), dt)
