"""Frames as a file: GIF, MP4, or a page of HTML."""

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

ColorS, SAMPLED = 128, 12  # of a GIF's palette, and the frames that it is chosen from


def check_target(out: Path, overwrite: bool) -> None:
    """Passes a file that can be written.

    Raises:
      SettingError: another kind of file, one that exists, or a library is missing.
    """
    new_output(out, tuple(WRITERS), overwrite)
    if out.suffix.lower() == ".mp4":
        _ffmpeg()


def write_film(out: Path, frames: np.ndarray, seconds: Sequence[float], title: str = "") -> None:
    """Writes frames [F, H, W, 3] of bytes, each shown for so many of `seconds` [F]; all of them, or nothing.

    Raises:
      SettingError: another kind of file, or a library is missing.
    """
    check_target(out, True)
    with atomic_path(out) as beside:
        WRITERS[out.suffix.lower()](beside, frames, seconds, title)


def write_page(out: Path, page: str) -> None:
    """Writes a page of HTML; all of it, or nothing."""
    with atomic_path(out) as beside:
        beside.write_text(page, encoding="utf-8")


def _gif(out: Path | io.BytesIO, frames: np.ndarray, seconds: Sequence[float], title: str) -> None:
    """One palette for all frames and no dithering, so that only what moved is stored."""
    from PIL import Image

    chosen = frames[np.linspace(0, len(frames) - 1, min(SAMPLED, len(frames))).astype(int)]
    sample = Image.fromarray(np.concatenate(chosen)).quantize(ColorS, Image.Quantize.MAXCOVERAGE)
    first, *others = (Image.fromarray(frame).quantize(palette=sample, dither=Image.Dither.NONE) for frame in frames)
    durations = [max(20, round(100 * each) * 10) for each in seconds]  # in ms; a GIF counts hundredths, viewers from 2
    first.save(
        out, format="GIF", save_all=True, append_images=others, duration=durations, loop=0, comment=title.encode()
    )


def _mp4(out: Path, frames: np.ndarray, seconds: Sequence[float], title: str) -> None:
    beat = min(seconds)
    options = {"fps": 1 / beat, "codec": "libx264", "macro_block_size": 2, "quality": 7}
    writer = _ffmpeg().write_frames(str(out), frames.shape[2:0:-1], **options)
    with warnings.catch_warnings():  # of a fork beside JAX's threads; the child becomes ffmpeg at once
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        writer.send(None)
    for frame, each in zip(frames, seconds, strict=True):
        for _ in range(max(1, round(each / beat))):
            writer.send(np.ascontiguousarray(frame))
    writer.close()


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SettingError(
            "An .mp4 needs the extra: pip install 'ddpg_jax[video]'; a .gif or .html does not."
        ) from None
    return imageio_ffmpeg


def _html(out: Path, frames: np.ndarray, seconds: Sequence[float], title: str) -> None:
    """A page that holds the animation itself."""
    film = io.BytesIO()
    _gif(film, frames, seconds, title)
    data, height, width, title = base64.b64encode(film.getvalue()).decode(), *frames.shape[1:3], html.escape(title)
    style = "body{font-family:sans-serif;text-align:center;margin:2em}img{max-width:100%}"
    head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    shown = f'<img width="{width}" height="{height}" alt="{title}" src="data:image/gif;base64,{data}">'
    out.write_text(f"{head}<h3>{title}</h3>{shown}</html>\n", encoding="utf-8")


WRITERS: dict[str, Callable[..., None]] = {".gif": _gif, ".mp4": _mp4, ".html": _html}
