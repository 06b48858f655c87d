"""Run folders: made new, in the place of an earlier run or not, and locked while a process trains in them.

The run that is replaced is moved aside, to a folder beside it whose name begins with a dot, until the new run can be
resumed. However the process ends before that, the earlier run comes back: at once, or by the next command that writes
to the folder.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from ddpg_jax.core.settings import SettingError, reason
from ddpg_jax.runs.checkpoint import Damaged, read_metadata, saved_steps
from ddpg_jax.runs.contents import LOCK, foreign_entry, is_run
from ddpg_jax.runs.files import real_path
from ddpg_jax.runs.paths import not_writable
from ddpg_jax.runs.signals import undone_at_once

Identity = tuple[int, int] | None  # of a folder: device and inode
LONGEST = 100  # characters of a folder's name that the name of a run moved aside for it begins with


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder, which goes with the process, however it ends.

    Raises:
      SettingError: another process holds it, or the folder cannot be written.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise SettingError(f"out must not be in use, and another process is training the run in {folder}.") from None
    except OSError as error:
        raise not_writable("folder", folder, reason(error)) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def new_run_folder(folder: Path, overwrite: bool) -> Iterator[None]:
    """Makes an empty run folder and holds its lock; removes it again if nothing comes of the run.

    Raises:
      SettingError: it exists and may not be overwritten, what is there is not a run of ddpg_jax, or it is in use.
    """
    folder = real_path(folder) if folder.is_symlink() else folder
    made = _first_missing(folder)
    recover(folder)
    try:
        holds_something = folder.exists() and (not folder.is_dir() or _names(folder))
    except OSError as error:
        raise not_writable("folder", folder, reason(error)) from None
    if holds_something:
        _check_replaceable(folder, overwrite)
    with contextlib.ExitStack() as stack:
        if holds_something:
            stack.enter_context(locked(folder))
            _move_aside(folder)
        stack.enter_context(locked(folder))
        identity = identify(folder)
        try:
            with undone_at_once(lambda: _give_up(folder, identity, made)):
                yield
        except BaseException:
            _give_up(folder, identity, made)
            raise
        delete_replaced(folder)


def identify(folder: Path) -> Identity:
    """Returns what tells a folder from every other one, whatever its name; None if there is none."""
    with contextlib.suppress(OSError):
        found = folder.stat()
        return found.st_dev, found.st_ino
    return None


def check_present(folder: Path, identity: Identity) -> None:
    """Checks that nobody has deleted, moved or replaced the folder of a run or a sweep in training.

    Raises:
      SettingError: somebody has; what this run has written there since is deleted, too, but for the checkpoints of a
        folder that has lost its config.json alone.
    """
    present = identify(folder) == identity
    if present and (folder / "config.json").exists():
        return
    # A folder made anew by a write after the deletion may have the same identity, but not the file that is open.
    same = present and any((folder / name).exists() for name in ("metrics.jsonl", "curves.jsonl"))
    if same and any(_is_readable(folder, vector_step) for vector_step in saved_steps(folder)):
        raise SettingError(
            f"out must stay while its run trains, and config.json of {folder} was deleted, of which each checkpoint "
            "there has a copy; the run ends here."
        )
    if folder.is_dir() and not (folder / "config.json").exists() and foreign_entry(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    raise SettingError(f"out must stay while its run trains, and {folder} was deleted or moved; the run ends here.")


def _is_readable(folder: Path, vector_step: int) -> bool:
    with contextlib.suppress(Damaged):
        return bool(read_metadata(folder, vector_step).config)
    return False


def delete_replaced(folder: Path) -> None:
    """Deletes the run that was moved aside for the one in this folder, once the new one can be resumed."""
    if is_resumable(folder):
        for aside in _moved_aside(folder):
            shutil.rmtree(aside, ignore_errors=True)


def recover(folder: Path, log: Callable[[str], None] | None = None) -> None:
    """Brings back the run that was moved aside, if the run that replaces it has ended before it could be resumed.

    Args:
      log: called with a sentence if there was one to bring back.
    """
    folder = real_path(folder) if folder.is_symlink() else folder
    moved = _moved_aside(folder)
    if not moved:
        return
    if is_resumable(folder):
        delete_replaced(folder)
        return
    if folder.exists():
        if foreign_entry(folder) is not None:
            return
        with locked(folder):
            shutil.rmtree(folder)
    moved[-1].rename(folder)
    if log:
        log(f"{folder} holds its earlier run again, since the run that was to replace it had ended too early")


def is_resumable(folder: Path) -> bool:
    """Returns whether a folder holds what a run or a sweep can be resumed from, or all that it was to write."""
    return bool(saved_steps(folder)) or any((folder / name).exists() for name in ("progress.json", "sweep.csv"))


def _check_replaceable(folder: Path, overwrite: bool) -> None:
    """Refuses to replace what is not a run, or holds anything that no run has written."""
    if not folder.is_dir() or not is_run(folder):
        raise SettingError(f"out must be a new folder or a run of ddpg_jax, and {folder} is neither.")
    if not overwrite:
        resume = f"`ddpg-jax resume {shlex.quote(str(folder))}` resumes it"
        raise SettingError(
            f"out must be a new folder, and {folder} already holds a run; --out names another folder, {resume} and "
            "--overwrite replaces it."
        )
    if foreign := foreign_entry(folder):
        raise SettingError(f"out must hold nothing but a run to be replaced, and {folder} also holds {foreign}.")
    if Path.cwd().is_relative_to(real_path(folder)):
        raise SettingError(f"out must not hold the current folder, and {folder} does; replace its run from elsewhere.")


def _move_aside(folder: Path) -> None:
    place = real_path(folder)
    aside = place.with_name(_aside_prefix(place) + secrets.token_hex(4))
    try:
        place.rename(aside)
    except OSError as error:
        raise not_writable("folder", folder, reason(error)) from None


def _aside_prefix(place: Path) -> str:
    """Returns how the names of runs begin that were moved aside for this folder, whose own name may be too long."""
    rest = f"-{zlib.crc32(os.fsencode(place.name)):08x}" if place.name[LONGEST:] else ""
    return f".{place.name[:LONGEST]}{rest}.replaced-"


def _moved_aside(folder: Path) -> list[Path]:
    """Returns the runs that were moved aside for this folder, the oldest first; usually none."""
    place = real_path(folder)
    prefix = _aside_prefix(place)
    try:
        found = [path for path in place.parent.iterdir() if path.name.startswith(prefix)]
        ours = [path for path in found if not path.is_symlink() and is_run(path) and foreign_entry(path) is None]
        return sorted(ours, key=lambda path: path.stat().st_mtime)
    except (OSError, SettingError):
        return []


def _give_up(folder: Path, identity: Identity, made: Path | None) -> None:
    """Removes a run folder from which nothing could be resumed, brings back the run before it, and never raises."""
    with contextlib.suppress(OSError, SettingError):
        moved = _moved_aside(folder)
        if identify(folder) != identity:
            return
        if is_resumable(folder) or (not moved and _has_learned(folder)):
            delete_replaced(folder)
            return
        shutil.rmtree(folder)
        if moved:
            moved[-1].rename(folder)
        for parent in folder.parents:
            if made is None or not parent.is_relative_to(made):
                return
            parent.rmdir()  # made for this run, and empty


def _has_learned(folder: Path) -> bool:
    """Whether there are rows of metrics beyond the first evaluation, which nobody wants to lose."""
    paths = [folder / "metrics.jsonl", folder / "curves.jsonl"]
    return any(path.read_bytes().count(b"\n") > 1 for path in paths if path.is_file())


def _first_missing(folder: Path) -> Path | None:
    """Returns the topmost folder that will have to be made for this one."""
    with contextlib.suppress(OSError):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        return missing[-1] if missing else None
    return None


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {LOCK}
