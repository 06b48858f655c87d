"""How a stage reports: one JSON object a line on standard output, as soon as a row is measured. Standard library only.

Rows of equal names are one row: the later values are added to the earlier ones. Whatever libraries print goes to
standard error.
"""

import json
import math
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

LONGEST = 400  # letters of an error that are kept
ROOT = Path(__file__).parents[2]


class Rows:
    """The rows of a stage, sent to the driver.

    Args:
      known: the rows of the stages before, stage -> list of rows.
    """

    def __init__(self, known: dict[str, list[dict[str, Any]]]) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._known, self._lock = known, threading.Lock()

    def put(self, name: str, **values: Any) -> None:
        """Sends values of the row `name`."""
        with self._lock:
            print(json.dumps(finite({"name": name} | values)), file=self._out, flush=True)

    def known(self, stage: str, name: str) -> dict[str, Any]:
        """Returns a row of an earlier stage; {} where there is none."""
        return next((row for row in self._known.get(stage, []) if row["name"] == name), {})

    def attempt(self, name: str, measure: Callable[..., dict[str, Any]], *args: Any) -> None:
        """Sends what `measure` returns, or its error, which ends nothing else."""
        try:
            self.put(name, **measure(*args))
        except Exception as error:  # of whatever library
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            self.put(name, error=worded(error))

    def attempt_all(self, cases: Iterable[tuple[str, Callable[..., dict[str, Any]], Any]], threads: int) -> None:
        """Attempts (name, measure, argument) in several threads, for what compiles longer than it computes."""
        with ThreadPoolExecutor(threads) as pool:
            for name, measure, argument in cases:
                pool.submit(self.attempt, name, measure, argument)


def elsewhere(function: Callable[..., Any], *args: Any) -> Any:
    """Returns what a function returns in a process of its own, which has the environment as it is now."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def worded(error: BaseException) -> str:
    """Returns the kind and the message of an error in one line without paths of this machine."""
    message = " ".join(str(error).split()).replace(str(ROOT), ".").replace(str(Path.home()), "~")
    return f"{type(error).__name__}: {message[:LONGEST] or 'no message'}"


def finite(value: Any) -> Any:
    """Returns the value with None in the place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
