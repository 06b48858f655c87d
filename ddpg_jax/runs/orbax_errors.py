"""Errors of Orbax in one sentence: what it logs and prints around them is dropped, and their reason is kept."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator

from ddpg_jax.core.settings import reason


def mute_raised(record: logging.LogRecord) -> bool:
    """Drops the warnings and errors that Orbax logs: what it means it also raises."""
    return record.levelno < logging.WARNING or "orbax" not in record.pathname


@contextlib.contextmanager
def quiet_warnings() -> Iterator[None]:
    """Keeps quiet what Orbax warns of where an item is read by itself: that the folder has no metadata of its own."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def muted_late_errors() -> Iterator[None]:
    """Keeps quiet what reads and writes in flight print after another one has failed, which is the error that counts.

    They end later than what has failed, so that it stays so where this is left by an exception.
    """
    hook, unraisable = sys.excepthook, sys.unraisablehook
    sys.excepthook = lambda kind, error, trace: None if _is_late(error) else hook(kind, error, trace)
    sys.unraisablehook = lambda late: None if _is_late(late.exc_value) else unraisable(late)
    logging.getLogger("asyncio").addFilter(_mute_late_failures)
    yield
    sys.excepthook, sys.unraisablehook = hook, unraisable


def _is_late(error: BaseException | None) -> bool:
    return any(words in str(error) for words in ("Event loop is closed", "reading array index"))


def _mute_late_failures(record: logging.LogRecord) -> bool:
    """Drops asyncio's log lines about such reads."""
    return "never retrieved" not in record.getMessage()


def in_one_line(error: Exception) -> str:
    """Returns why something failed: in the words of the system, where Orbax quotes them, else in its own."""
    known = (
        os.strerror(code)
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO, errno.ENOTDIR)
    )
    quoted = next((words for words in known if words in str(error)), None)
    return quoted or reason(error).split(". See full")[0]
