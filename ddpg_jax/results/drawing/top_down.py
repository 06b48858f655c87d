"""Renderers of gymnax's reacher, point robot and swimmer, seen from above; functions as in classic_control.py.

What leaves the view is drawn at its border.
"""

from typing import Any

import numpy as np

from ddpg_jax.results.drawing.canvas import BLUE, DARK_GRAY, GREEN, LIGHT_GRAY, ORANGE, Canvas, to_uint8
from ddpg_jax.results.drawing.classic_control import Draw

PURPLE, LIGHT_PURPLE = (122, 62, 112), (237, 224, 234)


def reacher(size: int) -> Draw:
    """Draws an arm of links of length 1, whose angles are all measured from the x axis, and its target in orange."""
    canvas = Canvas(size, half_width=2.3)
    background = canvas.fill(canvas.blank(), LIGHT_GRAY, canvas.ring((0, 0), 2, 0.03))  # how far two links reach

    def draw(state):
        joints = np.stack([np.cos(state.angles), np.sin(state.angles)]).cumsum(axis=1).T  # [links, 2]
        starts = [np.zeros(2), *joints[:-1]]
        image = canvas.fill(background, ORANGE, canvas.circle(state.goal_xy, 0.17))
        for start, end in zip(starts, joints, strict=True):
            image = canvas.fill(image, BLUE, canvas.line(start, end, 0.17))
        for joint in starts:
            image = canvas.fill(image, DARK_GRAY, canvas.circle(joint, 0.11))
        return to_uint8(canvas.fill(image, GREEN, canvas.circle(joints[-1], 0.11)))

    return draw


def point_robot(size: int) -> Draw:
    """Draws a robot, the half circle on which goals lie, and this episode's goal, which the robot does not observe."""
    canvas = Canvas(size, half_width=1.6)
    half_circle = np.maximum(canvas.ring((0, 0), 1, 0.025), -canvas.y)
    background = canvas.fill(canvas.blank(), LIGHT_GRAY, half_circle)

    def draw(state):
        image = canvas.fill(background, LIGHT_PURPLE, canvas.circle(state.goal, 0.2))  # the radius that is rewarded
        image = canvas.fill(image, ORANGE, canvas.circle(state.goal, 0.05))
        position = np.clip(state.pos, -1.5, 1.5)
        velocity = 3 * np.clip(np.reshape(state.last_action, 2), -0.1, 0.1)
        image = canvas.fill(image, BLUE, canvas.circle(position, 0.09))
        return to_uint8(canvas.fill(image, DARK_GRAY, canvas.arrow(position, position + velocity, 0.03)))

    return draw


def swimmer(size: int) -> Draw:
    """Draws a fish that faces where it swims, the urchins that it must avoid, and its goal."""
    canvas = Canvas(size, half_width=1.4)

    def draw(state):
        image = canvas.blank()
        for urchin in state.urchin_xys:  # within the halo, an urchin costs more than a third of the reward
            image = canvas.fill(image, LIGHT_PURPLE, canvas.circle(urchin, 0.18))
        for urchin in state.urchin_xys:
            image = canvas.fill(image, PURPLE, _spiked_circle(canvas, urchin))
        image = canvas.fill(image, ORANGE, canvas.circle(state.goal_xy, 0.07))
        image = canvas.fill(image, ORANGE, canvas.ring(state.goal_xy, 0.13, 0.02))
        return to_uint8(_fill_fish(canvas, image, np.clip(state.xy, -1.3, 1.3), state.xy_vel))

    return draw


def _fill_fish(canvas: Canvas, image: np.ndarray, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    speed = float(np.hypot(*velocity))
    ahead = velocity / speed if speed > 1e-3 else np.array([1.0, 0.0])
    left = np.array([-ahead[1], ahead[0]])
    for side in (-0.06, 0.06):  # the two halves of the tail
        tail = canvas.line(position - 0.06 * ahead, position - 0.17 * ahead + side * left, 0.03)
        image = canvas.fill(image, BLUE, tail)
    image = canvas.fill(image, BLUE, canvas.line(position - 0.05 * ahead, position + 0.05 * ahead, 0.12))
    return canvas.fill(image, DARK_GRAY, canvas.circle(position + 0.06 * ahead + 0.02 * left, 0.016))  # the eye


def _spiked_circle(canvas: Canvas, center: Any) -> np.ndarray:
    x, y = canvas.x - center[0], canvas.y - center[1]
    return np.hypot(x, y) - 0.075 - 0.02 * np.cos(9 * np.arctan2(y, x))
