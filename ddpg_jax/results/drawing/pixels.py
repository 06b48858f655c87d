"""Renderers of tasks that are observed as images: the task, and beside it the images that the agent observes."""

from typing import Any

import jax
import numpy as np

from ddpg_jax.results.drawing import planar
from ddpg_jax.results.drawing.canvas import BACKGROUND
from ddpg_jax.results.drawing.renderer import DEFAULT_DT, Renderer

GAP = 4  # pixels between two images


def make(name: str, size: int, **options: Any) -> Renderer:
    """Returns the renderer of a "pixels/..." id: its task, and to the right what the agent observes, in a column."""
    task = planar.make(name.removeprefix("pixels/"), size)

    def select(state):
        newest = jax.tree.map(lambda leaf: leaf[-1], state.inner)
        return {"state": newest, "obs": state.obs}

    def draw(part):
        gap = np.full((size, GAP, 3), BACKGROUND, np.uint8)
        return np.concatenate([task.draw(part["state"]), gap, channel_column(part["obs"], size)], axis=1)

    return Renderer(select, draw, task.dt)


def of_observations(size: int) -> Renderer:
    """Returns the renderer of an environment of which nothing is known but that it is observed as images."""
    return Renderer(lambda state: state.obs, lambda obs: channel_column(obs, size), DEFAULT_DT)


def channel_column(obs: np.ndarray, size: int) -> np.ndarray:
    """Returns the channels of an observation [H, W, C] as grayscale images in a column, the oldest on top.

    Returns:
      [size, about size * W / (H * C), 3] uint8.
    """
    from PIL import Image

    channels = min(obs.shape[-1], size)  # of more, the newest
    gap = GAP if size >= 3 * GAP * channels else 0
    height = (size - gap * (channels - 1)) // channels
    width = max(1, height * obs.shape[1] // obs.shape[0])
    column = np.full((size, width, 3), BACKGROUND, np.uint8)
    for index, channel in enumerate(np.moveaxis(obs, -1, 0)[-channels:]):
        image = Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.NEAREST)
        top = index * (height + gap)
        column[top : top + height] = np.asarray(image)[..., None]
    return column
