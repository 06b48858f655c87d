"""Reading a run folder while a run writes to it: what was replaced meanwhile is read again, and is not damaged."""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.checkpoint import checkpoints_folder, saved_steps
from ddpg_jax.runs.paths import check_stored_path

P = ParamSpec("P")
T = TypeVar("T")
TRIES = 50
PAUSE = 0.02  # seconds, within which a checkpoint that is being removed loses more of its files
FILES = ("config.json", "metrics.jsonl", "curves.jsonl", "evaluation.json")


def reads_again(read: Callable[P, T]) -> Callable[P, T]:
    """Returns a function that reads its first argument, a folder or a `Run`, again where it changed while that failed.

    What is still there, as it was before, and still cannot be read is damaged, and the error passes; so it does after
    `TRIES` times.
    """

    @functools.wraps(read)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = Path(getattr(args[0], "folder", args[0]))  # type: ignore[arg-type]
        check_stored_path(folder)
        for _ in range(TRIES):
            before = _state_of(folder)
            try:
                return read(*args, **kwargs)
            except SettingError:
                time.sleep(PAUSE)
                if _state_of(folder) == before:
                    raise
        return read(*args, **kwargs)

    return call


def _state_of(folder: Path) -> list[tuple[int, ...] | None]:
    """Returns what changes when a file of a run is replaced or written to, or a checkpoint comes or goes."""
    checkpoints = [checkpoints_folder(folder) / str(step) for step in saved_steps(folder)]
    metadata = [path / "metadata" / "metadata" for path in checkpoints]
    return [_identity(path) for path in (*(folder / name for name in FILES), *checkpoints, *metadata)]


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
