"""What the host decides after each chunk: whether to save, whether to stop, and which callbacks to call."""

import contextlib
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.core.settings import reason
from ddpg_jax.devices import multihost
from ddpg_jax.runs.chunks import ChunkResult
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.pace import duration, seconds_left
from ddpg_jax.runs.plan import Job, Plan
from ddpg_jax.runs.sinks import WARNING


class Callbacks(NamedTuple):
    """What a run calls while it trains; each may be None."""

    log: Callable[[str], None] | None = None  # a sentence about what happens next
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None  # every row of metrics as it is written
    should_stop: Callable[[], bool] | None = None  # asked after each chunk; True ends the run with a checkpoint

    def say(self, words: str) -> None:
        """Logs a sentence, if anybody listens."""
        if self.log:
            self.log(words)

    def warn(self, words: str) -> None:
        """Logs a warning, which Python prints where nobody listens."""
        (self.log or _warn)(words)

    def stopping(self) -> bool:
        """Whether the run is to stop, in any process."""
        return multihost.any_process(bool(self.should_stop and self.should_stop()))

    def guarded(self) -> "Callbacks":
        """Returns them so that an exception in one is one warning, and the run goes on without calling it again.

        What is no `Exception`, as KeyboardInterrupt, passes.
        """
        log = _guarded("log", self.log, _warn, lambda words: _warn(words) if words.startswith(WARNING) else None)
        warn, stop = Callbacks(log).warn, self.should_stop
        should_stop = stop and _guarded("should_stop", lambda: bool(stop()), warn)
        return Callbacks(log, _guarded("on_chunk", self.on_chunk, warn), should_stop)


def _guarded(
    name: str,
    function: Callable[..., Any] | None,
    warn: Callable[[str], None],
    instead: Callable[..., None] = lambda *args: None,
) -> Callable[..., Any] | None:
    """Returns a callback that warns when it first fails, and then calls `instead`."""
    if function is None:
        return None
    failed = False

    def call(*args: Any) -> Any:
        nonlocal failed
        try:
            if not failed:
                return function(*args)
        except Exception as error:
            failed = True
            warn(f"{WARNING}{name} raised {type(error).__name__} ({reason(error)}) and is not called again")
        return instead(*args)

    return call


def _warn(words: str) -> None:
    """Warns where `log` cannot: as Python does, or to standard error where warnings are errors, or not at all."""
    try:
        warnings.warn(words.removeprefix(WARNING), RuntimeWarning, stacklevel=2)
    except Exception:
        with contextlib.suppress(Exception):
            print(words, file=sys.stderr, flush=True)


class CheckpointClock:
    """When the next checkpoint is due, in time or in environment steps per seed."""

    def __init__(self, run: RunConfig, steps: int = 0):
        self._run = run
        self.saved(steps)

    def saved(self, steps: int) -> None:
        """Notes that a checkpoint was written at so many steps."""
        self._steps, self._time = steps, time.perf_counter()

    def due(self, steps: int) -> bool:
        """Whether the next checkpoint is due, in any process."""
        seconds, often = self._run.checkpoint_seconds, self._run.checkpoint_steps
        late = seconds is not None and time.perf_counter() - self._time >= seconds
        far = often is not None and steps - self._steps >= often
        return multihost.any_process(late or far)


class Monitor:
    """What the host remembers from chunk to chunk: the seeds known to have diverged, and the first rows."""

    def __init__(self, job: Job, callbacks: Callbacks):
        self._job, self._callbacks = job, callbacks
        self._diverged: set[int] = set()
        self._rows: list[dict[str, Any]] = []  # at most two

    def show(self, row: dict[str, Any]) -> None:
        """Hands over a row; where nobody takes rows, it is said once how long the run will take."""
        if self._callbacks.on_chunk:
            self._callbacks.on_chunk(row, self._job.plan)
        if self._callbacks.on_chunk or len(self._rows) == 2:
            return
        self._rows.append(row)
        left = seconds_left(row, self._rows[0], self._job.plan) if len(self._rows) == 2 else None
        if left:
            self._callbacks.say(f"{row['steps']:,} steps, and about {duration(left)} to the end")

    def outcome(self, chunk: ChunkResult, last: bool) -> Any:
        """Returns how the run ends with this chunk, or None; logs the seeds that have diverged in it."""
        run, plan = self._job.run, self._job.plan
        for index, (step, what) in chunk.diverged.items():
            if index not in self._diverged:
                self._callbacks.say(
                    f"seed {run.seed + index} diverged at {plan.steps(step):,} steps: {what} is not finite; it keeps "
                    "the parameters from the end of its last chunk in which everything was finite and is excluded from "
                    "averages"
                )
        self._diverged |= chunk.diverged.keys()
        if len(chunk.diverged) == run.seeds or (chunk.diverged and run.halt_on_nan):
            return "halted"
        stopped = self._callbacks.stopping()
        return "finished" if last else "stopped" if stopped else None
