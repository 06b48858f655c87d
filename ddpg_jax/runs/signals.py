"""SIGINT and SIGTERM: the first one asks the run to stop at the end of its chunk, the second one ends the process."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A context that, when called, tells whether SIGINT or SIGTERM has come.

    A thread reads what the interpreter writes the moment a signal comes: Python's own handlers would wait for the end
    of what is being compiled or computed.

    Args:
      log: called once, with what happens next.
    """

    def __init__(self, log: Callable[[str], None]):
        self._log = log
        self._received = threading.Event()

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self._received.is_set()

    def __enter__(self) -> "Stop":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may be told
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._before: dict[int, Any] = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        self._pipe, self._wakeup = (read, write), signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        while number := os.read(self._pipe[0], 1):
            if number[0] not in SIGNALS:
                continue
            if self._received.is_set():
                os._exit(128 + number[0])
            self._received.set()
            self._log("stopping at the end of this chunk, with a checkpoint; a second signal ends the process at once")

    def __exit__(self, *error: Any) -> None:
        if not hasattr(self, "_pipe"):
            return
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._pipe[1])  # which ends the thread
