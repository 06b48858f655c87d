"""Which of a run's checkpoints is meant: the newest, the one with the best evaluation, or that of a number of steps."""

import math
import warnings
from typing import Literal

from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.runs.checkpoint import Damaged, newest_first, read_metadata
from ddpg_jax.runs.stored_run import Run

Checkpoint = Literal["latest", "best"] | int | str  # a number as text, too, as a command line has it


def find_checkpoint(run: Run, checkpoint: Checkpoint = "latest") -> int:
    """Returns the vector step of a checkpoint.

    Args:
      run: the run.
      checkpoint: "latest"; "best", the one with the highest mean evaluation return of the seeds, of equals the newest;
        or the environment steps per seed at which it was saved.

    Raises:
      SettingError: the run has no checkpoint, or not this one; the message names those that it has.
    """
    saved = newest_first(run.folder)
    if checkpoint == "latest":
        return saved[0]
    if checkpoint == "best":
        return max(saved, key=lambda step: _score(run, step))
    steps = {vector_step * run.loop.num_envs: vector_step for vector_step in saved}
    wanted = str(checkpoint).replace(",", "")  # as numbers stand in messages
    found = [vector_step for step, vector_step in steps.items() if str(step) == wanted]
    if not found:
        there = ", ".join(f"{one:,}" for one in sorted(steps))
        raise SettingError(
            f"checkpoint must be latest, best or the steps of one in {run.folder} ({there}), not {shown(checkpoint)}."
        )
    return found[0]


def _score(run: Run, vector_step: int) -> float:
    try:
        score = read_metadata(run.folder, vector_step).score
    except Damaged as error:
        warnings.warn(f"{error} So it is not known whether that one is the best, and it is not chosen.", stacklevel=3)
        return -math.inf
    return -math.inf if score is None else score
