"""SIGINT and SIGTERM as a wish: the first one is asked about, the second one ends the process."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

ASKED = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A context inside which calling it tells whether the process was asked to end.

    A thread reads what the interpreter writes the moment a signal comes: Python's own handlers would wait for the end
    of what is being compiled or computed.

    Args:
      say: told, once, that it was.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Whether the process was asked to end."""
        return self._asked.is_set()

    def __enter__(self) -> "Stop":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may be told
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._before: dict[int, Any] = {number: signal.signal(number, lambda *_: None) for number in ASKED}
        self._pipe, self._wakeup = (read, write), signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        while number := os.read(self._pipe[0], 1):
            if number[0] not in ASKED:
                continue
            if self._asked.is_set():
                os._exit(128 + number[0])
            self._asked.set()
            self._say("asked to stop: the chunk is finished and saved first; once more ends at once")

    def __exit__(self, *error: Any) -> None:
        if not hasattr(self, "_pipe"):
            return
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._pipe[1])  # which ends the thread
