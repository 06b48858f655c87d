"""Files: outputs refused before any work is done and written whole or not at all; inputs that are regular files."""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from ddpg_jax.core.settings import SettingError, reason, shown
from ddpg_jax.runs.paths import check_output_path, not_writable
from ddpg_jax.runs.signals import undone_at_once


def new_output(out: str | Path, suffixes: tuple[str, ...], overwrite: bool) -> Path:
    """Returns the path of a file that may be written.

    Args:
      out: its path.
      suffixes: the suffixes that it may have, as ".png"; any, if there are none.
      overwrite: whether it may exist.

    Raises:
      SettingError: it has another suffix, is a folder, cannot be looked at, or exists and may not be overwritten.
    """
    path = Path(out)
    if suffixes and path.suffix.lower() not in suffixes:
        raise SettingError(f"out must end in {' or '.join(suffixes)}, not {shown(str(out))}.")
    check_output_path(path)
    try:
        is_folder, exists = path.is_dir(), os.path.lexists(path)
        path.parent.exists()  # raises for a name that is too long
    except OSError as error:
        raise not_writable("file", path, reason(error)) from None
    if is_folder:
        raise SettingError(f"out must be a file, and {path} is a folder.")
    if exists and not overwrite:
        raise SettingError(f"out must be a new file, and {path} already exists; --overwrite replaces it.")
    return path


def real_path(path: str | Path) -> Path:
    """Returns the absolute path without links; a link that leads to itself, which `Path.resolve` refuses, stays."""
    return Path(os.path.realpath(path))


def temporary_name(path: Path) -> Path:
    """Returns a name beside `path` that no file has; its suffix stays, since libraries tell the format by it."""
    stem = os.fsdecode(os.fsencode(path.stem)[:100])
    return path.with_name(f".{stem}.{secrets.token_hex(4)}.tmp{path.suffix}")


def is_temporary(name: str, of: set[str]) -> bool:
    """Returns whether `temporary_name` may have made this name of one of the names in `of`."""
    found = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.tmp(\.\w+)", name)
    return found is not None and found[1] + found[2] in of


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a new temporary file that replaces `path` when it is whole; the parent folder is made.

    So an end at any instant leaves either the old file or the new one. Where `path` is a link, the link is replaced.

    Raises:
      SettingError: it cannot be written.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with undone_at_once(lambda: _delete(temporary)):
            try:
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                yield temporary
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                _delete(temporary)
    except OSError as error:
        raise not_writable("file", path, reason(error)) from None


def atomic_write(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all; errors as for `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def read_bytes(path: Path) -> bytes:
    """Returns the contents of a regular file; a pipe would be waited for, and a device never ends.

    Raises:
      OSError: it cannot be read, or is no regular file.
    """
    check_regular(os.stat(path), path)  # before it is opened, since opening some devices has effects
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        check_regular(os.fstat(file.fileno()), path)
        return file.read()


def check_regular(status: os.stat_result, path: Path) -> None:
    """Raises OSError unless this is the status of a regular file."""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
