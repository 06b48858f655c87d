"""What a renderer of an environment is, and the check of the images that it returns."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import EnvState

DEFAULT_DT = 0.05  # seconds of a step of an environment that does not say


class Renderer(NamedTuple):
    """How an environment is drawn; `renderer(state)` returns the image of one `EnvState`."""

    select: Callable[[EnvState], Any]  # the part of a state that is drawn; runs on the device during a rollout
    draw: Callable[[Any], np.ndarray]  # that part, with NumPy leaves -> image [H, W, 3] uint8
    dt: float  # seconds of one step of the environment
    html: Callable[[list[Any], float], str] | None = None  # (parts, seconds between them) -> an HTML page of its own

    def __call__(self, state: EnvState) -> np.ndarray:
        """Returns the image [H, W, 3] uint8 of a state."""
        return self.draw(jax.device_get(self.select(state)))


def to_rgb(image: Any, name: str) -> np.ndarray:
    """Converts what a user's `render` returned to [H, W, 3] uint8.

    Args:
      image: RGB [H, W, 3] or grayscale [H, W], in bytes or in floats from 0 to 1.
      name: the environment, for the error message.

    Raises:
      SettingError: the image has another shape or dtype.
    """
    array = np.asarray(image)
    rgb = np.repeat(array[..., None], 3, axis=-1) if array.ndim == 2 else array
    if rgb.ndim != 3 or rgb.shape[-1] != 3 or not rgb.size or array.dtype.kind not in "uf":
        raise SettingError(
            f"{name} needs a render that returns [H, W, 3] bytes, or floats in [0, 1], not "
            f"{array.dtype}{list(array.shape)}."
        )
    return (rgb.clip(0, 1) * 255 + 0.5 if rgb.dtype.kind == "f" else rgb).astype(np.uint8)
