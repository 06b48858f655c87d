"""What the host decides after each chunk: whether to save, whether to stop, and whom to tell."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.devices import multihost
from ddpg_jax.runs.chunks import ChunkResult
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


class Monitor:
    """What the host remembers from chunk to chunk: the seeds known to have diverged, and the last checkpoint."""

    def __init__(self, job: Job, vector_step: int, callbacks: Callbacks):
        self._job, self._callbacks = job, callbacks
        self._diverged: set[int] = set()
        self.saved(vector_step)

    def saved(self, vector_step: int) -> None:
        """Notes that a checkpoint was written."""
        self._saved_step, self._saved_time = vector_step, time.perf_counter()

    def checkpoint_due(self, vector_step: int) -> bool:
        """Whether the next checkpoint is due, in time or in steps."""
        run, plan = self._job.run, self._job.plan
        seconds, steps = run.checkpoint_seconds, run.checkpoint_steps
        late = seconds is not None and time.perf_counter() - self._saved_time >= seconds
        far = steps is not None and plan.steps(vector_step) - plan.steps(self._saved_step) >= steps
        return multihost.any_process(late or far)

    def outcome(self, chunk: ChunkResult, last: bool) -> Any:
        """Returns how the run ends with this chunk, or None; logs the seeds that have diverged in it."""
        run, plan = self._job.run, self._job.plan
        for index, (step, what) in chunk.diverged.items():
            if index not in self._diverged:
                self._callbacks.say(
                    f"seed {run.seed + index} diverged at {plan.steps(step):,} steps: {what} is not finite; it keeps "
                    "its last finite policy from the end of a chunk and is excluded from averages"
                )
        self._diverged |= chunk.diverged.keys()
        if len(chunk.diverged) == run.seeds or (chunk.diverged and run.halt_on_nan):
            return "halted"
        stop = self._callbacks.should_stop
        stopped = multihost.any_process(bool(stop and stop()))
        return "finished" if last else "stopped" if stopped else None
