"""Anti-aliased shapes on paper, by distance fields: what the flat drawings are made of.

A shape is its signed distance in the drawing's own units, negative inside; a point is (x, y), y upwards.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.envs.pixel_renderers import grid, ink

Color = tuple[int, int, int]
Point = Sequence[Any] | np.ndarray

PAPER, INK, FAINT = (250, 250, 247), (40, 44, 52), (219, 221, 218)
BLUE, ORANGE, GREEN = (52, 92, 150), (235, 125, 40), (66, 150, 94)


class Canvas(NamedTuple):
    """A square sheet: where each pixel lies, and how many of them make a unit."""

    x: np.ndarray  # [1, size]
    y: np.ndarray  # [size, 1]
    unit: float

    def blank(self, color: Color = PAPER) -> np.ndarray:
        """[size, size, 3] floats in one color."""
        return np.full((self.y.size, self.x.size, 3), color, np.float32)


def canvas(size: int, half: float, middle: Sequence[float] = (0.0, 0.0)) -> Canvas:
    """A sheet of `size` pixels that shows what is at most `half` units away from `middle` in x or y."""
    x, y = grid(size)
    unit = size / (2 * half)
    return Canvas(x / unit + middle[0], y / unit + middle[1], unit)


def paint(sheet: Canvas, picture: np.ndarray, color: Color, distance: Any) -> np.ndarray:
    """The picture [size, size, 3] with a shape on top of it."""
    share = np.broadcast_to(ink(distance * sheet.unit), picture.shape[:2])[..., None]
    return picture + share * (np.array(color, np.float32) - picture)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """From 0 to 255 -> bytes, to the nearest."""
    return (picture + 0.5).clip(0, 255).astype(np.uint8)


def disc(sheet: Canvas, middle: Point, radius: float) -> np.ndarray:
    """Distance to a disc."""
    return np.hypot(sheet.x - middle[0], sheet.y - middle[1]) - radius


def ring(sheet: Canvas, middle: Point, radius: float, width: float) -> np.ndarray:
    """Distance to a circle drawn with a pen `width` wide."""
    return abs(disc(sheet, middle, radius)) - width / 2


def rod(sheet: Canvas, begin: Point, end: Point, width: float) -> np.ndarray:
    """Distance to a line with round ends."""
    across, up = end[0] - begin[0], end[1] - begin[1]
    right, above = sheet.x - begin[0], sheet.y - begin[1]
    share = ((right * across + above * up) / max(across**2 + up**2, 1e-9)).clip(0, 1)
    return np.hypot(right - share * across, above - share * up) - width / 2


def box(sheet: Canvas, middle: Point, half: Sequence[float]) -> np.ndarray:
    """Distance to an upright rectangle."""
    return np.maximum(abs(sheet.x - middle[0]) - half[0], abs(sheet.y - middle[1]) - half[1])


def arrow(sheet: Canvas, begin: Point, end: Point, width: float) -> np.ndarray:
    """Distance to an arrow: a line with a head; one shorter than its head is nothing."""
    along = np.array([end[0] - begin[0], end[1] - begin[1]], float)
    length, head = float(np.hypot(*along)), 3.2 * width
    if length < head:
        return np.full((sheet.y.size, sheet.x.size), np.inf)
    along = along / length
    neck = np.array(end, float) - head * along
    ahead = (sheet.x - neck[0]) * along[0] + (sheet.y - neck[1]) * along[1]
    aside = abs((sheet.x - neck[0]) * along[1] - (sheet.y - neck[1]) * along[0])
    tip = np.maximum(-ahead, (aside - 0.6 * (head - ahead)) / np.hypot(1, 0.6))
    return np.minimum(rod(sheet, begin, neck, width), tip)


def arc(sheet: Canvas, radius: float, angle: float, width: float) -> np.ndarray:
    """Distance to the part of a circle around (0, 0) from straight up to `angle`, positive to the left."""
    x, y = (
        sheet.x * np.cos(angle / 2) + sheet.y * np.sin(angle / 2),
        sheet.y * np.cos(angle / 2) - sheet.x * np.sin(angle / 2),
    )
    reach = abs(angle) / 2
    inside = abs(np.arctan2(x, y)) <= reach
    ends = np.hypot(abs(x) - radius * np.sin(reach), y - radius * np.cos(reach))
    return np.where(inside, abs(np.hypot(x, y) - radius), ends) - width / 2
