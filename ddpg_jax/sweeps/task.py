"""What a sweep is made of: its trials, the parts that are trained together, and the result of each trial."""

import math
from typing import Any, NamedTuple

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.types import Env
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.named import Named
from ddpg_jax.runs.own_code import NONE, Codes
from ddpg_jax.runs.plan import Plan
from ddpg_jax.runs.statistics import Interval, interval
from ddpg_jax.sweeps.search_space import CompileGroup, Trial

DIVERGED = Interval(-math.inf, -math.inf, -math.inf)  # of a trial with a seed whose evaluation is not finite


class Task(NamedTuple):
    """What is swept. Trials that population based training makes on the way join `trials`, their origin `parents`."""

    algorithm: Named
    trials: list[Trial]
    parents: dict[int, int]  # index of a trial -> of the trial that it began as a copy of
    config: Any
    loop: LoopConfig
    run: RunConfig
    env: Env
    halving: int
    pbt: bool
    code: Codes = NONE  # of one's own


class Part(NamedTuple):
    """Trials that one program trains together, planned."""

    group: CompileGroup
    layout: Layout
    plan: Plan


class TrialResult(NamedTuple):
    """A trial at the end of its training."""

    trial: int  # its index in the sweep
    steps: int  # environment steps per seed
    seeds: list[dict[str, Any]]  # a row per seed, as in evaluation.json
    finished: bool  # not ended by halving

    def interval(self) -> Interval:
        """Returns the interquartile mean of the seeds' evaluations; -inf where one of them is not finite."""
        means = [row["mean"] for row in self.seeds]
        return DIVERGED if None in means else interval(means)
