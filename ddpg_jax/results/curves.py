"""Curves of groups: the seeds of several run folders that differ in nothing but their seeds.

**Seeds that diverged** stay in averages of returns; without them, the surviving seeds alone would be reported. From its
first evaluation that was not finite, a seed counts with the worst return of any run on that task, at any step. For a
quantity without a worst value, such as a loss, the seed is excluded from averages from there on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.history import History, Trace, traces
from ddpg_jax.runs.statistics import iqm, iqm_bounds


class Group(NamedTuple):
    """The curve of a method on a task; it ends where the first seed that did not diverge has its last evaluation."""

    task: str
    method: str
    seeds: list[int]
    diverged: dict[int, float]  # seed -> the x of its first evaluation that was not finite
    x: np.ndarray  # [T]
    values: np.ndarray  # [T, S] interpolated between a seed's own evaluations; nan where it is excluded
    iqm: np.ndarray  # [T] interquartile mean over seeds
    low: np.ndarray  # [T] of its 95% bootstrap interval
    high: np.ndarray  # [T]


def distinct_names(settings: Sequence[dict[str, Any]], key: str, places: Sequence[Any] | None = None) -> list[str]:
    """Returns a name for each of these settings: its value of `key`, and what differs among those that share it.

    Args:
      settings: names to values.
      key: the setting that a name begins with.
      places: where each belongs, such as its task. Then a name has only what differs between two of the same place, so
        that a method with settings of its own for every task keeps one name.
    """
    belongs = [None] * len(settings) if places is None else places
    sharing: dict[Any, list[dict[str, Any]]] = {}
    for values, place in zip(settings, belongs, strict=True):
        sharing.setdefault((place, values[key]), []).append(values)
    differing: dict[Any, dict[str, None]] = {values[key]: {} for values in settings}  # keys of a dict keep their order
    for first, *others in sharing.values():  # what differs between two of them differs between one and the first
        for other in others:
            differing[first[key]] |= {name: None for name in first | other if first.get(name) != other.get(name)}
    return [
        ", ".join([str(values[key]), *(f"{name} {_format_value(values.get(name))}" for name in differing[values[key]])])
        for values in settings
    ]


def _format_value(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def join_traces(histories: Sequence[History], x: str, y: str) -> list[Trace]:
    """Returns the traces of all seeds of a group's runs.

    Raises:
      SettingError: two runs have the same seed, which would count as evidence twice.
    """
    owner: dict[int, Path] = {}
    for history in histories:
        for seed in history.run.run.seed_numbers():
            if seed in owner:
                where = f"{owner[seed]} and {history.run.folder}"
                raise SettingError(f"folders must hold a seed of a group once, and seed {seed} is in {where}.")
            owner[seed] = history.run.folder
    return [trace for history in histories for trace in traces(history, x, y)]


def value_range(traces: Sequence[Trace]) -> tuple[float, float]:
    """Returns the least and the greatest value of these traces; nan if they have none."""
    values = np.concatenate([trace.y for trace in traces])
    return (float(values.min()), float(values.max())) if len(values) else (np.nan, np.nan)


def has_values(traces: Sequence[Trace], worst: float) -> bool:
    """Returns whether a seed has a finite value or, having diverged, counts with `worst`, which nan is not."""
    return any(len(trace.x) or (trace.diverged_at is not None and np.isfinite(worst)) for trace in traces)


def group_without_values(task: str, method: str, traces: Sequence[Trace]) -> Group:
    """Returns the group of seeds none of which `has_values`: with empty arrays, so without a curve."""
    none = np.empty(0)
    return Group(task, method, *_seeds_of(traces), none, np.empty((0, len(traces))), none, none, none)


def make_group(task: str, method: str, traces: Sequence[Trace], worst: float) -> Group:
    """Joins seeds on the x that they share or, where theirs differ, on all of them, interpolated linearly.

    Args:
      task, method: their names.
      traces: of the seeds.
      worst: the value with which a seed that diverged counts; nan excludes it.

    Raises:
      SettingError: there is no range of x over which all seeds were measured.
    """
    x = _shared_x(traces)
    values = np.array([_interpolate(trace, x, worst) for trace in traces]).reshape(len(traces), len(x)).T
    measured = np.isfinite(values).any(axis=1)
    x, values = x[measured], values[measured]
    if not len(x):
        raise SettingError(f"folders must share a stretch in which {method} on {task} was measured, and there is none.")
    return Group(task, method, *_seeds_of(traces), x, values, *_iqm_and_bounds(values))


def _seeds_of(traces: Sequence[Trace]) -> tuple[list[int], dict[int, float]]:
    """Returns the seeds, and at which x those of them diverged that did."""
    diverged = {trace.seed: trace.diverged_at for trace in traces if trace.diverged_at is not None}
    return [trace.seed for trace in traces], diverged


def _shared_x(traces: Sequence[Trace]) -> np.ndarray:
    """Returns the x of all evaluations, within the range over which all seeds were measured."""
    surviving = [trace for trace in traces if trace.diverged_at is None and len(trace.x)]
    first = max((trace.x[0] for trace in traces if len(trace.x)), default=-np.inf)
    last = min(trace.x[-1] for trace in surviving) if surviving else max(trace.end for trace in traces)
    diverged = [[trace.diverged_at, trace.end] for trace in traces if trace.diverged_at is not None]
    x = np.unique(np.concatenate([trace.x for trace in traces] + diverged))
    return x[(first <= x) & (x <= last)]


def _interpolate(trace: Trace, x: np.ndarray, worst: float) -> np.ndarray:
    """Returns the values [T] of a seed at x: linear between its evaluations, and `worst` once it has diverged."""
    known_x, known_y = trace.x, trace.y
    excluded = trace.diverged_at is not None and not np.isfinite(worst)
    if trace.diverged_at is not None and not excluded:
        known_x, known_y = np.append(known_x, trace.diverged_at), np.append(known_y, worst)
    if not len(known_x):
        return np.full(len(x), np.nan)
    return np.interp(x, known_x, known_y, right=np.nan if excluded else known_y[-1])


def _iqm_and_bounds(values: np.ndarray) -> np.ndarray:
    """Returns [3, T]: the interquartile mean over the finite ones of values [T, S], and its bounds."""
    result = np.full((3, len(values)), np.nan)
    patterns, pattern_of = np.unique(np.isfinite(values), axis=0, return_inverse=True)
    for index, finite in enumerate(patterns):  # rows with the same seeds are resampled at once
        rows = np.flatnonzero(pattern_of.ravel() == index)
        included = values[np.ix_(rows, np.flatnonzero(finite))]
        result[:, rows] = iqm(included), *iqm_bounds(included)
    return result
