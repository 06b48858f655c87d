"""Training and evaluation from chunk to chunk, as what the host sees of them."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.devices import multihost
from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.core.divergence import diverged_seeds
from ddpg_jax.runs.plan import Programs, evaluation_keys
from ddpg_jax.core.loop import means
from ddpg_jax.core.types import TrainState


class ChunkResult(NamedTuple):
    """A run after one of its chunks."""

    vector_step: int
    state: TrainState  # which is given away when the next stage is asked for
    result: Evaluation  # [S, E], not a number where a seed is diverged
    measured: dict[str, np.ndarray]  # [S] of each quantity, likewise
    diverged: dict[int, tuple[int, str]]  # by place: the vector_step and the first quantity that was not finite

    def score(self) -> float:
        """The mean evaluation of the seeds that are alive."""
        returns = self.measured["eval_return"]
        alive = returns[np.isfinite(returns)]
        return float(alive.mean()) if alive.size else -math.inf


def run_chunks(
    phases: Programs, state: TrainState, keys: jax.Array, config: Any, bounds: Sequence[int], first: bool = True
) -> Iterator[ChunkResult]:
    """Trains from bound to bound.

    Args:
      state, keys: of all seeds, at the vector_step `bounds[0]`.
      first: whether the policies are evaluated before they are trained, too.
    """
    for previous, vector_step in itertools.pairwise([bounds[0]] * first + list(bounds)):
        totals: dict[str, Any] = {}
        if vector_step > previous:
            state, totals = phases.chunk(state, previous, vector_step - previous, config)
        result, found = phases.test((state.learner, evaluation_keys(keys, vector_step), state.hyperparams), vector_step, config)
        returns = {"eval_return": result.returns.mean(axis=1), "eval_length": result.lengths.mean(axis=1)}
        measured, result, nonfinite_at = multihost.fetch((means(totals) | returns | found, result, state.nonfinite_at))
        diverged = diverged_seeds(state.learner, nonfinite_at)
        alive = np.array([place not in diverged for place in range(len(nonfinite_at))])
        measured = {name: np.where(alive, values, np.nan) for name, values in measured.items()}
        result = dataclasses.replace(result, returns=np.where(alive[:, None], result.returns, np.nan))
        yield ChunkResult(vector_step, state, result, measured, diverged)
