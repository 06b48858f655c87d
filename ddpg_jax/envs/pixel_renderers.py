"""Gray images of classic control tasks from their states, by signed distance fields, fast under `vmap`.

A shape is given by its signed distance in pixels, negative inside. Each renderer takes the width of a square image and
returns a function state -> [size, size] from 0, black, to 1, white, the top row first. What does not move is drawn only
once, with NumPy.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.types import Array


def pendulum(size: int) -> Callable[[Any], Array]:
    """Returns the renderer of a rod on a gray hub in the middle; 0 points up and +π/2 to the left, as in Gymnasium."""
    x, y = grid(size)
    length, radius = 0.4 * size, 0.045 * size
    hub = 0.5 * ink(np.hypot(x, y) - 0.09 * size)

    def render(state):
        right, up = -jnp.sin(state.theta), jnp.cos(state.theta)
        along = x * right + y * up
        beyond, aside = along - along.clip(0, length), x * up - y * right
        return jnp.maximum(ink(jnp.sqrt(beyond**2 + aside**2) - radius), hub)

    return render


def mountain_car(size: int) -> Callable[[Any], Array]:
    """Returns the renderer of a white disc on the dark hill sin(3 position), and a gray flag at the goal, 0.45.

    The image shows positions from -1.2, on the left, to 0.6.
    """
    x, y = grid(size)
    scale, middle, radius = 0.86 * size / 1.8, -0.3, 0.05 * size  # the hill needs room for the car on both sides

    def surface(position, xp):
        """Returns the hill's height in pixels from the middle of the image, and its slope."""
        rise = 0.25 * size
        return rise * xp.sin(3 * position) - 0.1 * size, 3 * rise / scale * xp.cos(3 * position)

    height, slope = surface(x / scale + middle, np)
    hill = ink((y - height) / np.hypot(1, slope))
    across, above = x - scale * (0.45 - middle), y - surface(0.45, np)[0]  # from the foot of the flag
    mast = np.maximum(abs(across) - 0.008 * size, abs(above - 0.15 * size) - 0.15 * size)
    cloth = np.maximum(abs(across + 0.06 * size), abs(above - 0.24 * size)) - 0.06 * size
    scene = np.maximum(0.35 * hill, 0.65 * ink(np.minimum(mast, cloth)))

    def render(state):
        height, slope = surface(state.position, jnp)
        lift = radius / jnp.sqrt(1 + slope**2)  # the center of the disc is one radius above the hill, along its normal
        right, up = scale * (state.position - middle) - slope * lift, height + lift
        return jnp.maximum(ink(jnp.sqrt((x - right) ** 2 + (y - up) ** 2) - radius), scene)

    return render


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns x [1, size] to the right and y [size, 1] upwards, in pixels from the middle of the image."""
    x = np.arange(size, dtype=np.float32) - (size - 1) / 2
    return x[None, :], -x[:, None]


def ink(distance: Any) -> Any:
    """Returns the fraction of a pixel that a shape covers, from its distance: a ramp one pixel wide."""
    return (0.5 - distance).clip(0, 1).astype(np.float32)
