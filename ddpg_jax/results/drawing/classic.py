"""The pendulum, the mountain car and the linear-quadratic problem: width of a picture -> (state -> picture).

States are the environments' own, with NumPy leaves; a picture is [size, size, 3] bytes, the top row first.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ddpg_jax.results.drawing.paper import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    arc,
    arrow,
    box,
    canvas,
    disc,
    paint,
    ring,
    rod,
    to_bytes,
)

Picture = Callable[[Any], np.ndarray]
SKY, HILL, GRASS = (226, 237, 243), (176, 160, 136), (96, 140, 84)


def pendulum(size: int) -> Picture:
    """A rod with a bob: angle 0 points up, +π/2 to the left, as Gymnasium draws it; the arc is the torque."""
    sheet = canvas(size, 1.45)
    scene = paint(sheet, sheet.blank(), FAINT, ring(sheet, (0, 0), 1, 0.02))
    scene = paint(sheet, scene, GREEN, rod(sheet, (0, 1.2), (0, 1.36), 0.05))  # where it is to stand

    def picture(state):
        bob = -np.sin(state.theta), np.cos(state.theta)
        turn = float(np.clip(state.last_u, -2, 2)) * np.pi / 4
        drawn = paint(sheet, scene, BLUE, rod(sheet, (0, 0), bob, 0.12))
        drawn = paint(sheet, drawn, GREEN, arc(sheet, 0.42, turn, 0.06)) if turn else drawn
        drawn = paint(sheet, drawn, ORANGE, disc(sheet, bob, 0.18))
        return to_bytes(paint(sheet, drawn, INK, disc(sheet, (0, 0), 0.09)))

    return picture


def mountain_car(size: int) -> Picture:
    """A car on the hill sin(3 position), -1.2 on the left to 0.6, and a flag at the goal, 0.45."""
    sheet = canvas(size, 1.02, (-0.3, 0.12))
    earth = (sheet.y - _height(sheet.x)) / np.hypot(1, _slope(sheet.x))
    foot = _height(0.45)
    scene = paint(sheet, paint(sheet, sheet.blank(SKY), GRASS, earth), HILL, earth + 0.035)
    scene = paint(sheet, scene, INK, rod(sheet, (0.45, foot), (0.45, foot + 0.4), 0.02))
    scene = paint(sheet, scene, ORANGE, box(sheet, (0.53, foot + 0.34), (0.08, 0.055)))

    def picture(state):
        here, slope = float(state.position), _slope(state.position)
        along = np.array([1, slope]) / np.hypot(1, slope)
        up = np.array([-along[1], along[0]])
        ground = np.array([here, _height(here)])
        drawn = scene
        for width, color, back, front, lift in ((0.1, BLUE, -0.085, 0.085, 0.1), (0.09, BLUE, -0.045, 0.03, 0.15)):
            body = rod(sheet, ground + back * along + lift * up, ground + front * along + lift * up, width)
            drawn = paint(sheet, drawn, color, body)
        for place in (-0.08, 0.08):
            drawn = paint(sheet, drawn, INK, disc(sheet, ground + place * along + 0.042 * up, 0.042))
        return to_bytes(drawn)

    return picture


def _height(position: Any) -> Any:
    return 0.42 * np.sin(3 * position)


def _slope(position: Any) -> Any:
    return 1.26 * np.cos(3 * position)


def lqr(size: int) -> Picture:
    """A block at the first number of the state, with an arrow for the second; it is to rest at the mark, 0."""
    sheet = canvas(size, 2.1)
    scene = paint(sheet, sheet.blank(), FAINT, rod(sheet, (-1.9, -0.27), (1.9, -0.27), 0.04))
    scene = paint(sheet, scene, GREEN, rod(sheet, (0, -0.62), (0, -0.4), 0.06))

    def picture(state):
        place = np.clip(state[0], -1.85, 1.85)
        drawn = paint(sheet, scene, BLUE, box(sheet, (place, 0), (0.25, 0.25)))
        if len(state) > 1:
            drawn = paint(sheet, drawn, ORANGE, arrow(sheet, (place, 0), (place + 0.8 * state[1], 0), 0.07))
        return to_bytes(drawn)

    return picture
