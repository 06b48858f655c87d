"""Reacher, point robot and swimmer, seen from above: width of a picture -> (state -> picture), as in classic.py.

What leaves the view is drawn at its border.
"""

from typing import Any

import numpy as np

from ddpg_jax.results.drawing.classic import Picture
from ddpg_jax.results.drawing.paper import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    Canvas,
    arrow,
    canvas,
    disc,
    paint,
    ring,
    rod,
    to_bytes,
)

URCHIN, HALO = (122, 62, 112), (237, 224, 234)


def reacher(size: int) -> Picture:
    """An arm of links of length 1, at angles counted from the right and not from each other; the target is orange."""
    sheet = canvas(size, 2.3)
    scene = paint(sheet, sheet.blank(), FAINT, ring(sheet, (0, 0), 2, 0.03))  # as far as two links reach

    def picture(state):
        joints = np.stack([np.cos(state.angles), np.sin(state.angles)]).cumsum(axis=1).T  # [links, 2]
        drawn = paint(sheet, scene, ORANGE, disc(sheet, state.goal_xy, 0.17))
        for begin, end in zip([np.zeros(2), *joints[:-1]], joints, strict=True):
            drawn = paint(sheet, drawn, BLUE, rod(sheet, begin, end, 0.17))
        for joint in (np.zeros(2), *joints[:-1]):
            drawn = paint(sheet, drawn, INK, disc(sheet, joint, 0.11))
        return to_bytes(paint(sheet, drawn, GREEN, disc(sheet, joints[-1], 0.11)))

    return picture


def point_robot(size: int) -> Picture:
    """A robot, the half circle on which goals lie, and this episode's goal, which the robot does not see."""
    sheet = canvas(size, 1.6)
    circle = np.maximum(ring(sheet, (0, 0), 1, 0.025), -sheet.y)
    scene = paint(sheet, sheet.blank(), FAINT, circle)

    def picture(state):
        drawn = paint(sheet, scene, HALO, disc(sheet, state.goal, 0.2))  # as near as counts
        drawn = paint(sheet, drawn, ORANGE, disc(sheet, state.goal, 0.05))
        here, push = _within(state.pos, 1.5), 3 * np.clip(np.reshape(state.last_action, 2), -0.1, 0.1)
        drawn = paint(sheet, drawn, BLUE, disc(sheet, here, 0.09))
        return to_bytes(paint(sheet, drawn, INK, arrow(sheet, here, here + push, 0.03)))

    return picture


def swimmer(size: int) -> Picture:
    """A fish that looks where it swims, urchins to be avoided, and the goal."""
    sheet = canvas(size, 1.4)

    def picture(state):
        drawn = sheet.blank()
        for urchin in state.urchin_xys:
            drawn = paint(sheet, drawn, HALO, disc(sheet, urchin, 0.18))  # where more than a third of the reward goes
        for urchin in state.urchin_xys:
            drawn = paint(sheet, drawn, URCHIN, _spiked(sheet, urchin))
        drawn = paint(sheet, drawn, ORANGE, disc(sheet, state.goal_xy, 0.07))
        drawn = paint(sheet, drawn, ORANGE, ring(sheet, state.goal_xy, 0.13, 0.02))
        here, speed = _within(state.xy, 1.3), float(np.hypot(*state.xy_vel))
        ahead = state.xy_vel / speed if speed > 1e-3 else np.array([1.0, 0.0])
        aside = np.array([-ahead[1], ahead[0]])
        for side in (-0.06, 0.06):
            drawn = paint(sheet, drawn, BLUE, rod(sheet, here - 0.06 * ahead, here - 0.17 * ahead + side * aside, 0.03))
        drawn = paint(sheet, drawn, BLUE, rod(sheet, here - 0.05 * ahead, here + 0.05 * ahead, 0.12))
        return to_bytes(paint(sheet, drawn, INK, disc(sheet, here + 0.06 * ahead + 0.02 * aside, 0.016)))

    return picture


def _spiked(sheet: Canvas, middle: Any) -> np.ndarray:
    right, above = sheet.x - middle[0], sheet.y - middle[1]
    return np.hypot(right, above) - 0.075 - 0.02 * np.cos(9 * np.arctan2(above, right))


def _within(place: Any, half: float) -> np.ndarray:
    return np.clip(place, -half, half)
