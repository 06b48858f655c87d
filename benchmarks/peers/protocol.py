"""The line protocol between the driver and one peer's worker: JSON lines out, seconds in. Standard library only.

A worker calls `serve(main)`. `main` gets a `Line`, imports its library inside `line.importing()`, calls
`line.stepped()` once the first training update is done, `line.ready(...)` once everything is compiled, and then
`line.measure(chunk)`.
A worker that learns calls `serve(main, LEARNING)`; its `main` calls `line.evaluated(...)` after each chunk of the run
and `line.learned(...)` at the end, and nothing is asked of it.
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
LEARNING = {"num_envs": 1, "updates_per_step": None, "noise": 0.1}


def started_at() -> float:
    """When this process began, in seconds since the epoch: the driver's own note of it, else what the kernel says."""
    if "STARTED_AT" in os.environ:
        return float(os.environ["STARTED_AT"])
    with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
        ticks = int(stat.read().rpartition(")")[2].split()[19])  # field 22, counted from the one after the name
        age = float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()}


class Line:
    """The worker's end of the line."""

    def __init__(self, config: dict[str, Any], out: Any) -> None:
        self.config = config
        self.out = out
        self.imports_s = 0.0
        self.first_step_s: float | None = None

    def say(self, **message: Any) -> None:
        print(json.dumps(message), file=self.out, flush=True)

    @contextmanager
    def importing(self) -> Iterator[None]:
        began = time.time()
        yield
        self.imports_s += time.time() - began

    def stepped(self) -> None:
        """Call when the first training update is done (results on hand); later calls change nothing."""
        if self.first_step_s is None:
            self.first_step_s = time.time() - started_at()

    def ready(self, settings: dict[str, Any], packages: tuple[str, ...]) -> None:
        times = {"imports_s": round(self.imports_s, 3), "first_step_s": round(self.first_step_s or 0.0, 3)}
        self.say(ready=True, versions=versions(packages), settings=settings, **times)

    @property
    def updates_per_step(self) -> int:
        """Updates for each step of all environments: one for each environment, unless the configuration has it."""
        return self.config["updates_per_step"] or self.config["num_envs"]

    def evaluated(self, steps: int, returns: list[float]) -> None:
        """The mean return of each seed after so many environment steps of its own."""
        self.say(steps=steps, seconds=round(time.time() - started_at(), 3), eval_return=returns)

    def learned(self, final: list[float], settings: dict[str, Any], packages: tuple[str, ...]) -> None:
        """The mean return of each seed over the `final_episodes`, and what the run was made with; the last message."""
        seconds, episodes = round(time.time() - started_at(), 3), self.config["final_episodes"]
        done = {"done": True, "seconds": seconds, "final": final, "episodes": episodes}
        self.say(**done, versions=versions(packages), settings=settings)

    def requests(self) -> Iterator[float]:
        """The seconds the driver asks for, one request after another, until it hangs up."""
        for line in iter(sys.stdin.readline, ""):
            if line.strip():
                yield float(line)

    def measure(self, chunk: Callable[[], tuple[int, int]]) -> None:
        """Answer every request by whole chunks; `chunk` blocks and returns (updates, environment steps)."""
        for seconds in self.requests():
            updates, env_steps, began = 0, 0, time.perf_counter()
            while (elapsed := time.perf_counter() - began) < seconds:
                more = chunk()
                updates, env_steps = updates + more[0], env_steps + more[1]
            self.say(updates=updates, env_steps=env_steps, seconds=elapsed)


def serve(main: Callable[[Line], None], defaults: dict[str, Any] = MEASURING) -> None:
    """Run a worker: its configuration is the first argument, its last line an answer or the error that ended it."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    line = Line(defaults, out)
    try:
        line.config = defaults | json.loads(sys.argv[1])
        main(line)
    except BaseException as error:
        reason = " ".join(str(error).split()) or "no message"
        line.say(error=f"{type(error).__name__}: {reason[:300]}")
        out.flush()
        os._exit(1)  # at once: a library's threads may not hold the process up
    out.flush()


def require(holds: bool, reason: str) -> None:
    """Refuse a configuration that the peer cannot run as the same work."""
    if not holds:
        raise NotImplementedError(reason)
