"""Files that a command is asked for: refused before any work is done, and written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ddpg_jax.core.settings import SettingError


def new_output(out: str | Path, kinds: tuple[str, ...], overwrite: bool) -> Path:
    """The file to write.

    Args:
      out: its path.
      kinds: the endings that it may have, as ".png"; any, if there are none.
      overwrite: whether it may exist.

    Raises:
      SettingError: it has another ending, or it exists and is not to be overwritten, or is a folder.
    """
    path = Path(out)
    if kinds and path.suffix.lower() not in kinds:
        raise SettingError(f"out must end in {' or '.join(kinds)}, not {str(out)!r}.")
    if path.is_dir():
        raise SettingError(f"out must be a file, and {path} is a folder.")
    if path.exists() and not overwrite:
        raise SettingError(f"out must be a new file, and {path} exists already; --overwrite replaces it.")
    return path


def temporary_name(path: Path) -> Path:
    """Where a file is written before it is whole; with its ending, by which libraries tell its format."""
    return path.with_name(f"{path.stem}.new{path.suffix}")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place when it is whole; its folder is made.

    So an end at any instant leaves the old one or the new one.

    Raises:
      SettingError: it cannot be written.
    """
    beside = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise SettingError(
            f"out must be a file that can be written, and {path} is not ({error.strerror or error})."
        ) from None


def atomic_write(path: Path, content: bytes) -> None:
    """Writes a file, whole; errors as for `atomic_path`."""
    with atomic_path(path) as beside:
        beside.write_bytes(content)
