"""The line of text above an image, as large as fits."""

import functools
from typing import Any

import numpy as np

from ddpg_jax.results.drawing.canvas import DARK_GRAY


def add_title(image: np.ndarray, titles: list[str]) -> np.ndarray:
    """Returns an image [H, W, 3] with a line of text on a white strip above it, uint8, both sides even.

    Args:
      image: bytes.
      titles: the text from its longest form to its shortest; the first that fits is written.
    """
    from PIL import Image, ImageDraw

    width = image.shape[1] + image.shape[1] % 2
    font_size, margin = max(11, width // 20), max(2, width // 50)
    height = font_size + 2 * margin
    height += (height + image.shape[0]) % 2
    strip = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(strip), _font(font_size)
    fitting = (title for title in titles if draw.textlength(title, font=font) <= width - 2 * margin)
    draw.text((margin, height // 2), next(fitting, titles[-1]), fill=DARK_GRAY, font=font, anchor="lm")
    padded = np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), mode="edge")
    return np.concatenate([np.asarray(strip), padded])


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
