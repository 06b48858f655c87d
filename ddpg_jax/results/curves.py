"""Groups: the seeds of several run folders that differ in nothing else, their names and their curves.

**Seeds that diverged** are not left out of returns: to drop them would be to report the survivors. From its first
evaluation that was not finite, a seed counts with the worst return that any of the runs given had on that task at any
time. Quantities without a better and a worse, as a loss, have nothing to be put in their place: such a seed leaves the
curve there.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.history import History, Trace, traces
from ddpg_jax.runs.statistics import iqm, iqm_bounds


class Group(NamedTuple):
    """The seeds of a method on a task. Its curve ends where the first seed that lived has its last evaluation."""

    task: str
    method: str
    seeds: list[int]
    diverged: dict[int, float]  # the x of a seed's first evaluation that was not finite
    x: np.ndarray  # [T]
    values: np.ndarray  # [T, S] interpolated between a seed's own evaluations; not a number where it is left out
    iqm: np.ndarray  # [T]
    low: np.ndarray  # [T] of the 95% bootstrap interval over seeds
    high: np.ndarray  # [T]


def labels(kinds: Sequence[dict[str, Any]], head: str, within: Sequence[Any] | None = None) -> list[str]:
    """A name for each of these settings: its value of `head`, then of what differs among those that share it.

    Args:
      within: where each belongs; then only what differs between two of the same place makes it into a name, so that a
        method with settings of its own for every task keeps one name.
    """
    places = [None] * len(kinds) if within is None else within
    apart: dict[Any, dict[str, None]] = {kind[head]: {} for kind in kinds}
    for (one, here), (other, there) in itertools.combinations(zip(kinds, places, strict=True), 2):
        if here == there and one[head] == other[head]:
            apart[one[head]] |= {name: None for name in one if one[name] != other.get(name)}
    return [
        ", ".join([str(kind[head]), *(f"{name} {_short(kind[name])}" for name in apart[kind[head]])]) for kind in kinds
    ]


def _short(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def joined(runs: Sequence[History], x: str, y: str) -> list[Trace]:
    """The seeds of the runs of a group.

    Raises:
      SettingError: one of them is there twice, which would count as evidence twice.
    """
    owner: dict[int, Path] = {}
    for run in runs:
        for seed in run.run.run.seed_numbers():
            if seed in owner:
                where = f"{owner[seed]} and {run.run.folder}"
                raise SettingError(f"folders must hold a seed of a group once, and seed {seed} is in {where}.")
            owner[seed] = run.run.folder
    return [trace for run in runs for trace in traces(run, x, y)]


def value_range(seeds: Sequence[Trace]) -> tuple[float, float]:
    """The least and the greatest value of these seeds at any time; nan without one."""
    values = np.concatenate([trace.y for trace in seeds])
    return (float(values.min()), float(values.max())) if len(values) else (np.nan, np.nan)


def group(task: str, method: str, seeds: Sequence[Trace], worst: float) -> Group:
    """Joins seeds on the steps that they share, or, where theirs differ, on all of them, interpolated linearly.

    Args:
      worst: what a dead seed counts with; not a number leaves it out.

    Raises:
      SettingError: there is no stretch that all seeds were measured over.
    """
    alive = [trace for trace in seeds if trace.diverged_at is None and len(trace.x)]
    begin = max((trace.x[0] for trace in seeds if len(trace.x)), default=-np.inf)
    end = min(trace.x[-1] for trace in alive) if alive else max(trace.end for trace in seeds)
    marks = [
        mark
        for trace in seeds
        for mark in [*trace.x, *([] if trace.diverged_at is None else [trace.diverged_at, trace.end])]
    ]
    at = np.unique([mark for mark in marks if begin <= mark <= end])
    values = np.array([_along(trace, at, worst) for trace in seeds]).reshape(len(seeds), len(at)).T
    measured = np.isfinite(values)
    at, values, measured = (array[measured.any(axis=1)] for array in (at, values, measured))
    if not len(at):
        raise SettingError(f"folders must share a stretch in which {method} on {task} was measured, and there is none.")
    middle, low, high = np.full((3, len(at)), np.nan)
    patterns, which = np.unique(measured, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        here = np.flatnonzero(which.ravel() == number)
        some = values[np.ix_(here, np.flatnonzero(pattern))]
        middle[here], (low[here], high[here]) = iqm(some), iqm_bounds(some)
    died = {trace.seed: trace.diverged_at for trace in seeds if trace.diverged_at is not None}
    return Group(task, method, [trace.seed for trace in seeds], died, at, values, middle, low, high)


def _along(trace: Trace, at: np.ndarray, worst: float) -> np.ndarray:
    """[T] a seed's values: on a line between its own evaluations, and on to `worst` where it died."""
    x, y = trace.x, trace.y
    if trace.diverged_at is not None and np.isfinite(worst):
        x, y = np.append(x, trace.diverged_at), np.append(y, worst)
    if not len(x):
        return np.full(len(at), np.nan)
    gone = np.nan if trace.diverged_at is not None and not np.isfinite(worst) else y[-1]
    return np.interp(at, x, y, right=gone)
