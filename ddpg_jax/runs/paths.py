"""Paths, looked at before any work is done for what would be written there."""

import errno
import os
from pathlib import Path

from ddpg_jax.core.settings import SettingError, shown

NEVER = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EINVAL)  # faults that no new folder mends


def path_fault(path: str | Path) -> str | None:
    """Returns why no file can have this path, or None if one can."""
    try:
        os.lstat(path)
    except ValueError as error:  # a NUL, or a surrogate that stands for no byte
        return "embedded null byte" if "null" in str(error) else "not a name for this file system"
    except OSError as error:
        return error.strerror if error.errno in NEVER else None
    return None


def check_run_folder(folder: str | Path) -> None:
    """Checks that a run can be written to a folder, as far as its path says.

    Raises:
      SettingError: it cannot; the message names `out`.
    """
    fault = path_fault(folder)
    try:
        os.path.abspath(folder).encode()
    except UnicodeEncodeError:
        fault = fault or "not UTF-8, in which checkpoints name their files"
    if fault:
        raise not_writable("folder", shown(str(folder)), fault)


def check_stored_path(folder: str | Path) -> None:
    """Checks that a run may be in a folder, as far as its path says.

    Raises:
      SettingError: there can be no such folder.
    """
    if fault := path_fault(folder):
        raise SettingError(f"{shown(str(folder))} is not a run folder ({fault}).")


def check_output_path(path: Path) -> None:
    """Checks that a file can have a path.

    Raises:
      SettingError: it cannot; the message names `out`.
    """
    if fault := path_fault(path):
        raise not_writable("file", shown(str(path)), fault)


def not_writable(kind: str, path: str | Path, why: str) -> SettingError:
    """Returns the error that says why a "file" or "folder" cannot be written."""
    return SettingError(f"out must be a {kind} that can be written, and {path} is not ({why}).")
