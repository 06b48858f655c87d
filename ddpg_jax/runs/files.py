"""Output files: refused before any work is done, and written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ddpg_jax.core.settings import SettingError


def new_output(out: str | Path, suffixes: tuple[str, ...], overwrite: bool) -> Path:
    """Returns the path of a file that may be written.

    Args:
      out: its path.
      suffixes: the suffixes that it may have, as ".png"; any, if there are none.
      overwrite: whether it may exist.

    Raises:
      SettingError: it has another suffix, is a folder, or exists and may not be overwritten.
    """
    path = Path(out)
    if suffixes and path.suffix.lower() not in suffixes:
        raise SettingError(f"out must end in {' or '.join(suffixes)}, not {str(out)!r}.")
    if path.is_dir():
        raise SettingError(f"out must be a file, and {path} is a folder.")
    if path.exists() and not overwrite:
        raise SettingError(f"out must be a new file, and {path} already exists; --overwrite replaces it.")
    return path


def temporary_name(path: Path) -> Path:
    """Returns where a file is written before it is whole; its suffix stays, since libraries tell the format by it."""
    return path.with_name(f"{path.stem}.new{path.suffix}")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary file that replaces `path` when it is whole; the parent folder is made.

    So an end at any instant leaves either the old file or the new one.

    Raises:
      SettingError: it cannot be written.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SettingError(
            f"out must be a file that can be written, and {path} is not ({error.strerror or error})."
        ) from None


def atomic_write(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all; errors as for `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
