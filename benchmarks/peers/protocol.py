"""The line protocol between the driver and one peer's worker: JSON lines out, seconds in. Standard library only.

A worker that measures speed calls `serve(main)`. `main` gets a `Line`, imports its library inside `line.importing()`,
calls `line.stepped()` once the first training update is done, `line.ready(...)` once everything is compiled, and then
`line.measure(chunk)`.
A worker that measures learning calls `serve(main, LEARNING)`; its `main` calls `line.evaluated(...)` after each chunk
of the run and `line.learned(...)` at the end, and gets no requests.
Whatever the library prints goes to standard error.
"""

import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MEASURING = {"algorithm": "ddpg", "env": "Pendulum-v1", "num_envs": 1, "updates_per_step": 1, "seeds": 1}
LEARNING = {"num_envs": 1, "updates_per_step": None, "noise": 0.1, "own_defaults": False}


def started_at() -> float:
    """Returns when this process began, in seconds since the epoch, as set by the driver or else from the kernel."""
    if "STARTED_AT" in os.environ:
        return float(os.environ["STARTED_AT"])
    with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
        ticks = int(stat.read().rpartition(")")[2].split()[19])  # field 22, counted from the one after the name
        age = float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Returns the versions of packages and of Python."""
    return {name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()}


class Line:
    """The worker's end of the connection to the driver."""

    def __init__(self, config: dict[str, Any], out: Any) -> None:
        self.config = config
        self.out = out
        self.imports_s = 0.0
        self.first_step_s: float | None = None

    def send(self, **message: Any) -> None:
        """Sends one message to the driver."""
        print(json.dumps(message), file=self.out, flush=True)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Measures the time of imports in a with block."""
        began = time.time()
        yield
        self.imports_s += time.time() - began

    def stepped(self) -> None:
        """Records that the first training update is done, with its results available; later calls change nothing."""
        if self.first_step_s is None:
            self.first_step_s = time.time() - started_at()

    def ready(self, settings: dict[str, Any], packages: tuple[str, ...]) -> None:
        """Reports that everything is compiled."""
        times = {"imports_s": round(self.imports_s, 3), "first_step_s": round(self.first_step_s or 0.0, 3)}
        self.send(ready=True, versions=versions(packages), settings=settings, **times)

    @property
    def updates_per_step(self) -> int:
        """The updates per step of all environments: by default one per environment."""
        return self.config["updates_per_step"] or self.config["num_envs"]

    def evaluated(self, steps: int, returns: list[float]) -> None:
        """Reports the mean return of each seed after so many environment steps per seed."""
        self.send(steps=steps, seconds=round(time.time() - started_at(), 3), eval_return=returns)

    def learned(self, final: list[float], settings: dict[str, Any], packages: tuple[str, ...]) -> None:
        """Reports the mean return of each seed over the `final_episodes`, and the settings, as the last message."""
        seconds, episodes = round(time.time() - started_at(), 3), self.config["final_episodes"]
        done = {"done": True, "seconds": seconds, "final": final, "episodes": episodes}
        self.send(**done, versions=versions(packages), settings=settings)

    def requests(self) -> Iterator[float]:
        """Yields the seconds of each request of the driver, until it closes the connection."""
        for line in iter(sys.stdin.readline, ""):
            if line.strip():
                yield float(line)

    def measure(self, chunk: Callable[[], tuple[int, int]]) -> None:
        """Answers every request by running whole chunks; `chunk` blocks and returns (updates, environment steps)."""
        for seconds in self.requests():
            updates, env_steps, began = 0, 0, time.perf_counter()
            while (elapsed := time.perf_counter() - began) < seconds:
                more = chunk()
                updates, env_steps = updates + more[0], env_steps + more[1]
            self.send(updates=updates, env_steps=env_steps, seconds=elapsed)


def serve(main: Callable[[Line], None], defaults: dict[str, Any] = MEASURING) -> None:
    """Runs a worker: its configuration is the first argument, its last message a result or the error that ended it."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    line = Line(defaults, out)
    try:
        line.config = defaults | json.loads(sys.argv[1])
        main(line)
    except BaseException as error:
        reason = " ".join(str(error).split()) or "no message"
        line.send(error=f"{type(error).__name__}: {reason[:300]}")
        out.flush()
        os._exit(1)  # immediately, without waiting for a library's threads
    out.flush()


def require(holds: bool, reason: str) -> None:
    """Refuses a configuration that the peer cannot run as the same amount of work."""
    if not holds:
        raise NotImplementedError(reason)
