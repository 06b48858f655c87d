"""What it takes to draw an environment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.settings import SettingError


class Drawing(NamedTuple):
    """Two functions between a rollout and its pictures, and the time between two of them."""

    select: Callable[[Any], Any]  # EnvState -> the part of it that is drawn; on the device
    picture: Callable[[Any], np.ndarray]  # that part, with NumPy leaves -> [H, W, 3] bytes
    seconds: float  # between two of the environment's own steps
    viewer: Callable[[list[Any], float], str] | None = None  # (parts, s between two) -> a page of HTML that shows them


def as_picture(drawn: Any, name: str) -> np.ndarray:
    """What somebody's own `render` returned, as [H, W, 3] bytes: colors or grey, bytes or floats in [0, 1].

    Raises:
      SettingError: it is none of these.
    """
    picture = np.asarray(drawn)
    colors = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
    if colors.ndim != 3 or colors.shape[-1] != 3 or not colors.size or picture.dtype.kind not in "uf":
        raise SettingError(
            f"{name} needs a render that returns [H, W, 3] bytes, or floats in [0, 1], not "
            f"{picture.dtype}{list(picture.shape)}."
        )
    if colors.dtype.kind == "f":
        return (colors.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return colors.astype(np.uint8)
