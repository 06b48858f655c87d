"""A canvas with anti-aliased shapes, which the renderers of small tasks draw on.

A shape is given by its signed distance, negative inside, at every pixel: one formula serves any size, and its edge is
smooth. Points are (x, y) in the task's own units, y upwards.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ddpg_jax.envs.pixel_renderers import grid, ink

Color = tuple[int, int, int]
Point = Sequence[Any] | np.ndarray

BACKGROUND, DARK_GRAY, LIGHT_GRAY = (250, 250, 247), (40, 44, 52), (219, 221, 218)
BLUE, ORANGE, GREEN = (52, 92, 150), (235, 125, 40), (66, 150, 94)


class Canvas:
    """A square of `size` x `size` pixels; its methods return images, or distances [size, size] of shapes to `fill`.

    Args:
      size: width and height in pixels.
      half_width: how far the canvas reaches from its center, in the task's units.
      center: the point in the middle.
    """

    def __init__(self, size: int, half_width: float, center: Point = (0.0, 0.0)):
        x, y = grid(size)
        self.scale = size / (2 * half_width)  # pixels per unit
        self.x, self.y = x / self.scale + center[0], y / self.scale + center[1]  # [1, size], [size, 1]

    def blank(self, color: Color = BACKGROUND) -> np.ndarray:
        """Returns an image [size, size, 3] of floats in one color."""
        return np.full((self.y.size, self.x.size, 3), color, np.float32)

    def fill(self, image: np.ndarray, color: Color, distance: Any) -> np.ndarray:
        """Returns the image with a shape drawn on top of it."""
        coverage = np.broadcast_to(ink(distance * self.scale), image.shape[:2])[..., None]
        return image + coverage * (np.array(color, np.float32) - image)

    def circle(self, center: Point, radius: float) -> np.ndarray:
        """Returns the distance to a filled circle."""
        return np.hypot(self.x - center[0], self.y - center[1]) - radius

    def ring(self, center: Point, radius: float, width: float) -> np.ndarray:
        """Returns the distance to the outline of a circle, `width` wide."""
        return abs(self.circle(center, radius)) - width / 2

    def line(self, start: Point, end: Point, width: float) -> np.ndarray:
        """Returns the distance to a line segment with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        x, y = self.x - start[0], self.y - start[1]
        nearest = ((x * dx + y * dy) / max(dx**2 + dy**2, 1e-9)).clip(0, 1)
        return np.hypot(x - nearest * dx, y - nearest * dy) - width / 2

    def rectangle(self, center: Point, half_size: Point) -> np.ndarray:
        """Returns the distance to a rectangle whose sides are parallel to the axes."""
        return np.maximum(abs(self.x - center[0]) - half_size[0], abs(self.y - center[1]) - half_size[1])

    def arrow(self, start: Point, end: Point, width: float) -> np.ndarray:
        """Returns the distance to an arrow; one that is shorter than its head is not drawn."""
        direction = np.array([end[0] - start[0], end[1] - start[1]], float)
        length, head_length = float(np.hypot(*direction)), 3.2 * width
        if length < head_length:
            return np.full((self.y.size, self.x.size), np.inf)
        direction = direction / length
        base = np.array(end, float) - head_length * direction
        ahead = (self.x - base[0]) * direction[0] + (self.y - base[1]) * direction[1]
        aside = abs((self.x - base[0]) * direction[1] - (self.y - base[1]) * direction[0])
        head = np.maximum(-ahead, (aside - 0.6 * (head_length - ahead)) / np.hypot(1, 0.6))
        return np.minimum(self.line(start, base, width), head)

    def arc(self, radius: float, angle: float, width: float) -> np.ndarray:
        """Returns the distance to an arc around (0, 0), from straight up to `angle`, counterclockwise if positive."""
        sine, cosine, half_angle = np.sin(angle / 2), np.cos(angle / 2), abs(angle) / 2
        x, y = self.x * cosine + self.y * sine, self.y * cosine - self.x * sine  # y through the middle of the arc
        on_arc = abs(np.arctan2(x, y)) <= half_angle
        to_ends = np.hypot(abs(x) - radius * np.sin(half_angle), y - radius * np.cos(half_angle))
        return np.where(on_arc, abs(np.hypot(x, y) - radius), to_ends) - width / 2


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds an image of floats from 0 to 255 to bytes."""
    return (image + 0.5).clip(0, 255).astype(np.uint8)
