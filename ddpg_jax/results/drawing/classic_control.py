"""Renderers of the pendulum, the mountain car and the linear-quadratic problem.

Each function takes the size of a square image in pixels and returns `draw`: the environment's own state, with NumPy
leaves -> image [size, size, 3] uint8, the top row first.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_jax.results.drawing.canvas import BLUE, DARK_GRAY, GREEN, LIGHT_GRAY, ORANGE, Canvas, to_uint8

Draw = Callable[[Any], np.ndarray]
SKY, SOIL, GRASS = (226, 237, 243), (176, 160, 136), (96, 140, 84)


def pendulum(size: int) -> Draw:
    """Draws a rod with a bob, angle 0 up and +π/2 to the left, as in Gymnasium; the green arc is the torque."""
    canvas = Canvas(size, half_width=1.45)
    background = canvas.fill(canvas.blank(), LIGHT_GRAY, canvas.ring((0, 0), 1, 0.02))
    background = canvas.fill(background, GREEN, canvas.line((0, 1.2), (0, 1.36), 0.05))  # marks the upright position

    def draw(state):
        bob = -np.sin(state.theta), np.cos(state.theta)
        torque_angle = float(np.clip(state.last_u, -2, 2)) * np.pi / 4
        image = canvas.fill(background, BLUE, canvas.line((0, 0), bob, 0.12))
        image = canvas.fill(image, GREEN, canvas.arc(0.42, torque_angle, 0.06)) if torque_angle else image
        image = canvas.fill(image, ORANGE, canvas.circle(bob, 0.18))
        return to_uint8(canvas.fill(image, DARK_GRAY, canvas.circle((0, 0), 0.09)))

    return draw


def mountain_car(size: int) -> Draw:
    """Draws a car on the hill sin(3 position), from -1.2 on the left to 0.6, and a flag at the goal, 0.45."""
    canvas = Canvas(size, half_width=1.02, center=(-0.3, 0.12))
    ground = (canvas.y - _height(canvas.x)) / np.hypot(1, _slope(canvas.x))
    flag = _height(0.45)
    background = canvas.fill(canvas.fill(canvas.blank(SKY), GRASS, ground), SOIL, ground + 0.035)
    background = canvas.fill(background, DARK_GRAY, canvas.line((0.45, flag), (0.45, flag + 0.4), 0.02))
    background = canvas.fill(background, ORANGE, canvas.rectangle((0.53, flag + 0.34), (0.08, 0.055)))

    def draw(state):
        position, slope = float(state.position), _slope(state.position)
        forward = np.array([1, slope]) / np.hypot(1, slope)
        up = np.array([-forward[1], forward[0]])
        contact = np.array([position, _height(position)])
        image = background
        for width, back, front, lift in ((0.1, -0.085, 0.085, 0.1), (0.09, -0.045, 0.03, 0.15)):  # body and roof
            rear, nose = (contact + end * forward + lift * up for end in (back, front))
            image = canvas.fill(image, BLUE, canvas.line(rear, nose, width))
        for offset in (-0.08, 0.08):  # wheels
            wheel = contact + offset * forward + 0.042 * up
            image = canvas.fill(image, DARK_GRAY, canvas.circle(wheel, 0.042))
        return to_uint8(image)

    return draw


def _height(position: Any) -> Any:
    return 0.42 * np.sin(3 * position)


def _slope(position: Any) -> Any:
    return 1.26 * np.cos(3 * position)


def lqr(size: int) -> Draw:
    """Draws a block at the state's first component, with an arrow for the second; its target is the mark at 0."""
    canvas = Canvas(size, half_width=2.1)
    background = canvas.fill(canvas.blank(), LIGHT_GRAY, canvas.line((-1.9, -0.27), (1.9, -0.27), 0.04))
    background = canvas.fill(background, GREEN, canvas.line((0, -0.62), (0, -0.4), 0.06))

    def draw(state):
        x = np.clip(state[0], -1.85, 1.85)
        image = canvas.fill(background, BLUE, canvas.rectangle((x, 0), (0.25, 0.25)))
        if len(state) > 1:
            image = canvas.fill(image, ORANGE, canvas.arrow((x, 0), (x + 0.8 * state[1], 0), 0.07))
        return to_uint8(image)

    return draw
