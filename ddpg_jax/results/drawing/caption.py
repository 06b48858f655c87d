"""The line of words above a picture, as large as fits."""

import functools
from typing import Any

import numpy as np

from ddpg_jax.results.drawing.paper import INK


def captioned(picture: np.ndarray, forms: list[str]) -> np.ndarray:
    """A picture [H, W, 3] with a white strip of words on top: [H + strip, W, 3] bytes, both sides even.

    Args:
      forms: the words from their longest form to their shortest; the first that fits is written.
    """
    from PIL import Image, ImageDraw

    width = picture.shape[1] + picture.shape[1] % 2
    letters, margin = max(11, width // 20), max(2, width // 50)
    height = letters + 2 * margin
    height += (height + picture.shape[0]) % 2
    strip = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(strip), _font(letters)
    words = next((form for form in forms if pen.textlength(form, font=font) <= width - 2 * margin), forms[-1])
    pen.text((margin, height // 2), words, fill=INK, font=font, anchor="lm")
    padded = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), mode="edge")
    return np.concatenate([np.asarray(strip), padded])


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
