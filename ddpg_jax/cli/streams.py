"""Standard input, output and error that do not end a command: closed, full, or without a letter of a name."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ddpg_jax.core.settings import reason


class Stream:
    """A text stream to which writing never fails: at the first failure it calls `failed`, and then discards.

    Args:
      stream: where text goes; what it cannot encode is written with backslash escapes.
      failed: called with the error.
    """

    def __init__(self, stream: Any, failed: Callable[[Exception], None] = lambda error: None):
        self._stream, self._failed, self._discards = stream, failed, False

    def write(self, text: str) -> int:
        """Writes text, or discards it."""
        self._attempt(self._write, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes several texts, or discards them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes what is buffered, or discards it."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self._stream, "encoding", None) or "ascii"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def _attempt(self, action: Callable[..., Any], *args: Any) -> None:
        if self._discards:
            return
        try:
            action(*args)
        except (OSError, ValueError) as error:  # ValueError: Python's own object is closed
            self._discards = True
            self._redirect()
            self._failed(error)

    def _redirect(self) -> None:
        """Lets the descriptor lead nowhere, for what is still buffered and for what writes past Python."""
        with contextlib.suppress(OSError, ValueError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


@contextlib.contextmanager
def safe_streams(pipe_may_close: bool = False) -> Iterator[None]:
    """Makes standard output and error streams that never fail; one warning says that standard output has.

    Args:
      pipe_may_close: whether a reader that has read enough, as `head`, gets no warning.
    """

    def warn(error: Exception) -> None:
        if not (pipe_may_close and isinstance(error, BrokenPipeError)):
            words = f"warning: standard output cannot be written ({reason(error)}); nothing more is printed there"
            print(words, file=sys.stderr, flush=True)

    before = sys.stdin, sys.stdout, sys.stderr
    _open_descriptors()
    closed = sys.stdout is None
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115, which nobody closes
    with _escaping(sys.stdout), _escaping(sys.stderr):
        sys.stderr = Stream(sys.stderr or _nowhere())
        sys.stdout = Stream(sys.stdout or _nowhere(), warn)
        try:
            if closed:
                warn(OSError(errno.EBADF, "it is closed"))
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdin, sys.stdout, sys.stderr = before


def _open_descriptors() -> None:
    """Opens those of the descriptors 0, 1 and 2 that are closed: else the next file would get one and be printed to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free, which is `number`


def _nowhere() -> io.TextIOBase:
    return open(os.devnull, "w", encoding="utf-8")


@contextlib.contextmanager
def _escaping(stream: Any) -> Iterator[None]:
    """Lets a stream write what its encoding lacks with backslash escapes."""
    if not hasattr(stream, "reconfigure"):
        yield
        return
    before = stream.errors
    with contextlib.suppress(OSError, ValueError):
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            stream.reconfigure(errors=before)
