"""Animations as files: GIF, MP4, or an HTML page."""

import base64
import html
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.files import atomic_path, new_output

GIF_COLORS, PALETTE_FRAMES = 128, 12  # the size of a GIF's palette, and the number of frames that it is chosen from


def check_output(path: Path, overwrite: bool) -> None:
    """Checks that an animation can be written to a file.

    Raises:
      SettingError: the suffix is not that of a known format, the file exists, or a library is missing.
    """
    new_output(path, tuple(WRITERS), overwrite)
    if path.suffix.lower() == ".mp4":
        _import_ffmpeg()


def save_animation(path: Path, frames: np.ndarray, durations: Sequence[float], title: str = "") -> None:
    """Writes an animation to a file, replacing it atomically.

    Args:
      path: a .gif, .mp4 or .html.
      frames: [F, H, W, 3] uint8.
      durations: [F] seconds for which each frame is shown.
      title: the comment of a GIF, the title of an HTML page.

    Raises:
      SettingError: the format is unknown, a library is missing, or the file cannot be written.
    """
    check_output(path, overwrite=True)
    with atomic_path(path) as temporary:
        WRITERS[path.suffix.lower()](temporary, frames, durations, title)


def save_html(path: Path, page: str) -> None:
    """Writes an HTML page to a file, replacing it atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _write_gif(file: Path | io.BytesIO, frames: np.ndarray, durations: Sequence[float], title: str) -> None:
    """Writes a GIF with one palette for all frames and no dithering, so that only pixels that change are stored."""
    from PIL import Image

    chosen = frames[np.linspace(0, len(frames) - 1, min(PALETTE_FRAMES, len(frames))).astype(int)]
    palette = Image.fromarray(np.concatenate(chosen)).quantize(GIF_COLORS, Image.Quantize.MAXCOVERAGE)
    first, *rest = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    # GIFs count hundredths of a second, and viewers slow anything below two of them down
    milliseconds = [max(20, round(100 * duration) * 10) for duration in durations]
    options: dict[str, Any] = {"append_images": rest, "duration": milliseconds, "comment": title.encode()}
    first.save(file, format="GIF", save_all=True, loop=0, **options)


def _write_mp4(path: Path, frames: np.ndarray, durations: Sequence[float], title: str) -> None:
    """Writes an MP4 at the rate of the shortest frame, in which longer ones are repeated."""
    shortest = min(durations)
    options = {"fps": 1 / shortest, "codec": "libx264", "macro_block_size": 2, "quality": 7}
    writer = _import_ffmpeg().write_frames(str(path), frames.shape[2:0:-1], **options)
    with warnings.catch_warnings():  # a fork while JAX has threads is safe here: the child executes ffmpeg at once
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        writer.send(None)
    for frame, duration in zip(frames, durations, strict=True):
        for _ in range(max(1, round(duration / shortest))):
            writer.send(np.ascontiguousarray(frame))
    writer.close()


def _import_ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SettingError(
            "An .mp4 needs the extra: pip install 'ddpg_jax[video]'; a .gif or .html does not."
        ) from None
    return imageio_ffmpeg


def _write_html(path: Path, frames: np.ndarray, durations: Sequence[float], title: str) -> None:
    """Writes an HTML page that contains the animation as a GIF."""
    gif = io.BytesIO()
    _write_gif(gif, frames, durations, title)
    data, height, width, title = base64.b64encode(gif.getvalue()).decode(), *frames.shape[1:3], html.escape(title)
    style = "body{font-family:sans-serif;text-align:center;margin:2em}img{max-width:100%}"
    head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    image = f'<img width="{width}" height="{height}" alt="{title}" src="data:image/gif;base64,{data}">'
    path.write_text(f"{head}<h3>{title}</h3>{image}</html>\n", encoding="utf-8")


WRITERS: dict[str, Callable[..., None]] = {".gif": _write_gif, ".mp4": _write_mp4, ".html": _write_html}
