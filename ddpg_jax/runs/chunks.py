"""Training and evaluation chunk by chunk, and what the host sees of each chunk."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.divergence import diverged_seeds
from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.core.metrics import means
from ddpg_jax.core.types import TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.programs import Programs, evaluation_keys


class ChunkResult(NamedTuple):
    """A run at the end of one of its chunks."""

    vector_step: int
    state: TrainState  # donated when the next chunk is asked for
    evaluation: Evaluation  # [S, E]; NaN where a seed has diverged
    metrics: dict[str, np.ndarray]  # [S] of each quantity; NaN where a seed has diverged
    diverged: dict[int, tuple[int, str]]  # index of a seed -> vector step and quantity that was first not finite

    def score(self) -> float:
        """Returns the mean evaluation return of the seeds that have not diverged."""
        returns = self.metrics["eval_return"]
        finite = returns[np.isfinite(returns)]
        return float(finite.mean()) if finite.size else -math.inf


def run_chunks(
    programs: Programs,
    state: TrainState,
    keys: jax.Array,
    config: Any,
    bounds: Sequence[int],
    first: bool = True,
    clock: Clock | None = None,
) -> Iterator[ChunkResult]:
    """Trains from one bound to the next and evaluates at each.

    Args:
      state, keys: of all seeds, at the vector step `bounds[0]`.
      first: whether the policies are also evaluated before the first chunk.
      clock: of the run, for what is compiled; it is compiled while nothing runs that counts as training.
    """
    clock = clock or Clock()
    jax.block_until_ready(state)  # the warm-up, which is no part of the time in which programs are compiled
    with clock.compiling("the evaluation") as compiled:
        compiled(programs.evaluate, (state.learner, evaluation_keys(keys, 0), state.hyperparams), 0, config)
    compiled_training = False
    for previous, vector_step in itertools.pairwise([bounds[0]] * first + list(bounds)):
        totals: dict[str, Any] = {}
        if new := vector_step > previous and not compiled_training:
            with clock.compiling("the training") as compiled:
                compiled(programs.chunk, state, previous, vector_step - previous, config)
            compiled_training = True
        if vector_step > previous:
            state, totals = programs.chunk(state, previous, vector_step - previous, config)
        per_seed = (state.learner, evaluation_keys(keys, vector_step), state.hyperparams)
        evaluation, found = programs.evaluate(per_seed, vector_step, config)
        with clock.compiling_after((totals, evaluation)) if new else contextlib.nullcontext():
            metrics, evaluation, nonfinite_at = _fetch(totals, evaluation, found, state)
        diverged = diverged_seeds(state.learner, nonfinite_at)
        finite = np.array([seed not in diverged for seed in range(len(nonfinite_at))])
        metrics = {name: np.where(finite, values, np.nan) for name, values in metrics.items()}
        evaluation = dataclasses.replace(evaluation, returns=np.where(finite[:, None], evaluation.returns, np.nan))
        yield ChunkResult(vector_step, state, evaluation, metrics, diverged)


def _fetch(totals: dict[str, Any], evaluation: Evaluation, found: dict[str, Any], state: TrainState) -> Any:
    """Returns the metrics of a chunk, its evaluation and where seeds diverged, on the host."""
    means_of = {"eval_return": evaluation.returns.mean(axis=1), "eval_length": evaluation.lengths.mean(axis=1)}
    return multihost.fetch((means(totals) | means_of | found, evaluation, state.nonfinite_at))
