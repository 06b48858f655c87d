"""The tasks that are drawn on paper, by id."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.drawing import classic, plane
from ddpg_jax.results.drawing.drawing import Drawing


class Flat(NamedTuple):
    """How a task is drawn, and how much time one of its own steps takes in s."""

    make: Callable[[int], classic.Picture]
    seconds: float


FLAT = {
    "Pendulum-v1": Flat(classic.pendulum, 0.05),
    "MountainCarContinuous-v0": Flat(classic.mountain_car, 1 / 30),  # it has no clock; this is Gymnasium's frame rate
    "PointRobot-misc": Flat(plane.point_robot, 0.1),  # nor has this one
    "Reacher-misc": Flat(plane.reacher, 0.05),
    "Swimmer-misc": Flat(plane.swimmer, 0.05),
    "lqr": Flat(classic.lqr, 0.1),
}


def drawing(name: str, size: int, **options: Any) -> Drawing:
    """The drawing of a task of `FLAT`; options change nothing about it.

    Raises:
      SettingError: it is not among them.
    """
    if name not in FLAT:
        raise SettingError(f"{name} cannot be drawn; of its kind {', '.join(FLAT)} can.")
    make, seconds = FLAT[name]
    return Drawing(lambda state: state.inner, make(size), seconds)
