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
from ddpg_jax.core.divergence import deaths
from ddpg_jax.runs.plan import Programs, evaluation_keys
from ddpg_jax.core.loop import means
from ddpg_jax.core.types import TrainState


class Stage(NamedTuple):
    """A run after one of its chunks."""

    clock: int
    state: TrainState  # which is given away when the next stage is asked for
    result: Evaluation  # [S, E], not a number where a seed is dead
    measured: dict[str, np.ndarray]  # [S] of each quantity, likewise
    dead: dict[int, tuple[int, str]]  # by place: the clock and the first quantity that was not finite

    def score(self) -> float:
        """The mean evaluation of the seeds that are alive."""
        returns = self.measured["eval_return"]
        alive = returns[np.isfinite(returns)]
        return float(alive.mean()) if alive.size else -math.inf


def stages(
    phases: Programs, state: TrainState, keys: jax.Array, config: Any, bounds: Sequence[int], first: bool = True
) -> Iterator[Stage]:
    """Trains from bound to bound.

    Args:
      state, keys: of all seeds, at the clock `bounds[0]`.
      first: whether the policies are evaluated before they are trained, too.
    """
    for previous, clock in itertools.pairwise([bounds[0]] * first + list(bounds)):
        totals: dict[str, Any] = {}
        if clock > previous:
            state, totals = phases.chunk(state, previous, clock - previous, config)
        result, found = phases.test((state.learner, evaluation_keys(keys, clock), state.numbers), clock, config)
        returns = {"eval_return": result.returns.mean(axis=1), "eval_length": result.lengths.mean(axis=1)}
        measured, result, bad = multihost.fetch((means(totals) | returns | found, result, state.bad))
        dead = deaths(state.learner, bad)
        alive = np.array([place not in dead for place in range(len(bad))])
        measured = {name: np.where(alive, values, np.nan) for name, values in measured.items()}
        result = dataclasses.replace(result, returns=np.where(alive[:, None], result.returns, np.nan))
        yield Stage(clock, state, result, measured, dead)
