"""Signals that ask a process to end: at once where nothing would be lost, otherwise at the end of a chunk.

Python's own handlers wait for the end of what is being compiled or computed. Here a thread reads what the interpreter
writes the moment a signal comes, and can end the process even while XLA compiles.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AT_ONCE = "interrupted: nothing was written"

_undo: list[Callable[[], None]] = []  # what is to be undone if the process ends at once, the newest last
_active: list["Stop"] = []  # the innermost last


@contextlib.contextmanager
def undone_at_once(undo: Callable[[], None]) -> Iterator[None]:
    """Calls `undo` if a signal ends the process at once while the block runs; it must not raise."""
    _undo.append(undo)
    try:
        yield
    finally:
        _undo.remove(undo)


def end_at_chunk() -> None:
    """Lets a signal from now on end the run at the end of its chunk, since there is something to save.

    Called at the end of every chunk, it also tells how long one takes.
    """
    for stop in _active[-1:]:
        stop.at_once(None)
        stop.chunk_ended(time.monotonic())


def end_at_once(sentence: str, exit_code: int | None = None) -> None:
    """Lets a signal from now on end the process at once, since nothing would be lost.

    Args:
      sentence: what is printed then.
      exit_code: of the process; by default 128 + the number of the signal, as a shell reports it.
    """
    for stop in _active[-1:]:
        stop.at_once((sentence, exit_code))


class Stop:
    """A context in which SIGINT, SIGTERM and SIGHUP are handled; called, it tells whether one of them has come.

    The first signal ends the process at once, until `end_at_chunk` is called; from then on it only makes the call
    return True, and the second one ends the process.

    Args:
      log: called with a sentence about what happens next.
      sentence: what is said when the process ends at once.
    """

    def __init__(self, log: Callable[[str], None], sentence: str = AT_ONCE):
        self._log = log
        self._at_once: tuple[str, int | None] | None = (sentence, None)
        self._received = threading.Event()
        self._ending = threading.Lock()  # held for good by a thread that ends the process
        self._ended: list[float] = []  # when the last two chunks ended

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self._received.is_set()

    def at_once(self, ending: tuple[str, int | None] | None) -> None:
        """Sets how a signal ends the process at once, as sentence and exit code; None: at the end of a chunk."""
        with self._ending:
            self._at_once = ending

    def chunk_ended(self, now: float) -> None:
        """Notes that a chunk has ended, in seconds of `time.monotonic`."""
        self._ended = [*self._ended[-1:], now]

    def _seconds_left(self, now: float) -> float | None:
        """Returns when this chunk will end, if it takes as long as the one before; None before there were two."""
        return 2 * self._ended[1] - self._ended[0] - now if len(self._ended) == 2 else None

    def __enter__(self) -> "Stop":
        _active.append(self)
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may be told
        read, write = os.pipe()
        os.set_blocking(write, False)
        handled = [number for number in SIGNALS if not _ignored_hangup(number)]
        self._before: dict[int, Any] = {number: signal.signal(number, lambda *_: None) for number in handled}
        self._pipe, self._wakeup = (read, write), signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        while number := os.read(self._pipe[0], 1):
            if number[0] in SIGNALS:
                with self._ending:
                    self._handle(number[0])

    def _handle(self, number: int) -> None:
        if self._received.is_set():
            os._exit(128 + number)
        if self._at_once is None:
            self._received.set()
            left = self._seconds_left(time.monotonic())
            about = "" if left is None else f" in about {max(left, 1):,.0f} s"
            self._say(
                f"stopping at the end of this chunk{about}, with a checkpoint; a second signal ends the process at once"
            )
            return
        sentence, exit_code = self._at_once
        for undo in reversed(_undo):
            undo()
        self._say(sentence)
        os._exit(128 + number if exit_code is None else exit_code)

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone, or a closed standard error
            self._log(sentence)

    def __exit__(self, *error: Any) -> None:
        _active.remove(self)
        if not hasattr(self, "_pipe"):
            return
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._pipe[1])  # which ends the thread


def _ignored_hangup(number: int) -> bool:
    """Whether this is SIGHUP in a process that `nohup` has told to ignore it."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
