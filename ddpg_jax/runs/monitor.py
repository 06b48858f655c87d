"""What the host decides after each chunk: whether to save, whether to stop, and which callbacks to call."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.devices import multihost
from ddpg_jax.runs.chunks import ChunkResult
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.plan import Job, Plan


class Callbacks(NamedTuple):
    """What a run calls while it trains; each may be None."""

    log: Callable[[str], None] | None = None  # a sentence about what happens next
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None  # every row of metrics as it is written
    should_stop: Callable[[], bool] | None = None  # asked after each chunk; True ends the run with a checkpoint

    def say(self, words: str) -> None:
        """Logs a sentence, if anybody listens."""
        if self.log:
            self.log(words)

    def stopping(self) -> bool:
        """Whether the run is to stop, in any process."""
        return multihost.any_process(bool(self.should_stop and self.should_stop()))


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
    """What the host remembers from chunk to chunk: the seeds known to have diverged."""

    def __init__(self, job: Job, callbacks: Callbacks):
        self._job, self._callbacks = job, callbacks
        self._diverged: set[int] = set()

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
