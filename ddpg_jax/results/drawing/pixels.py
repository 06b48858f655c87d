"""Tasks seen as images: the drawing, and beside it the pictures that the agent sees."""

from typing import Any

import jax
import numpy as np

from ddpg_jax.results.drawing import flat
from ddpg_jax.results.drawing.drawing import Drawing
from ddpg_jax.results.drawing.paper import PAPER

MARGIN = 4  # pixels between two pictures


def drawing(name: str, size: int, **options: Any) -> Drawing:
    """The drawing of the task behind a "pixels/..." id , and what the agent sees in a column to its right."""
    _, picture, seconds, _ = flat.drawing(name.removeprefix("pixels/"), size)

    def select(state):
        return {"inner": jax.tree.map(lambda leaf: leaf[-1], state.inner), "obs": state.obs}

    def beside(part):
        drawn, seen = picture(part["inner"]), column(part["obs"], size)
        gap = np.full((size, MARGIN, 3), PAPER, np.uint8)
        return np.concatenate([drawn, gap, seen], axis=1)

    return Drawing(select, beside, seconds)


def of_observations(size: int) -> Drawing:
    """Of an environment about which no more is known than that it is observed as images: those, the newest below."""
    return Drawing(lambda state: state.obs, lambda obs: column(obs, size), 0.05)


def column(obs: np.ndarray, size: int) -> np.ndarray:
    """The channels [H, W, C] of an observation as grey pictures, one below the other, the oldest on top.

    Returns:
      Bytes [size, about size * W / (H * C), 3].
    """
    from PIL import Image

    height = (size - MARGIN * (obs.shape[-1] - 1)) // obs.shape[-1]
    width = max(1, height * obs.shape[1] // obs.shape[0])
    shown = np.full((size, width, 3), PAPER, np.uint8)
    for place, channel in enumerate(np.moveaxis(obs, -1, 0)):
        grey = np.asarray(
            Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.NEAREST)
        )
        top = place * (height + MARGIN)
        shown[top : top + height] = grey[..., None]
    return shown
