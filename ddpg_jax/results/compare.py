"""Runs beside each other, as plain numbers: curves of groups of seeds, performance profiles, probabilities of
improvement (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice").

A group is what differs in nothing but its seeds. A method is an algorithm with its settings, a task an environment with
its options.

Seeds that diverged count with the worst return that any of the runs had on that task at any time, in curves, profiles
and improvements alike; groups.py says why.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.curves import Group, group, joined, labels, value_range
from ddpg_jax.results.history import History, Trace, quantities, read_histories
from ddpg_jax.runs.metrics import X_AXES
from ddpg_jax.runs.statistics import stratified, superiority

RETURNS = {"eval_return", "episode_return"}  # of which more is better


class Profile(NamedTuple):
    """The share of a method's runs whose score is above each threshold, the mean of the tasks' shares."""

    method: str
    thresholds: np.ndarray  # [K] from 0 to 1
    share: np.ndarray  # [K]
    low: np.ndarray  # [K]
    high: np.ndarray  # [K]


class Improvement(NamedTuple):
    """How probable it is that a run of `better` is above one of `worse` on a task taken at random; a tie is half."""

    better: str
    worse: str
    share: float
    low: float
    high: float


class Comparison(NamedTuple):
    """What `plot` draws."""

    x: str
    y: str
    tasks: list[str]
    methods: list[str]
    varied: list[str]  # settings that a method has otherwise on one task than on another
    groups: list[Group]
    ends: dict[str, float]  # the x of a task at which methods are compared: the last that all of them have
    scores: dict[tuple[str, str], np.ndarray]  # (task, method) -> [S] there, from 0 to 1
    profiles: list[Profile]  # of methods on every task, where there are several tasks
    improvements: list[Improvement]  # of every pair of those


def compare(folders: Sequence[str | Path], x: str = "steps", y: str = "eval_return") -> Comparison:
    """Reads runs and works out how they compare.

    Scores are returns at `ends`, brought from the range of all evaluations of all these runs on the task to 0 to 1; so
    they mean something beside each other only.

    Args:
      folders: run folders, or sweeps, whose settings count as runs.
      x: "steps" and "updates" are per seed, "seconds" of the whole run with all of its seeds.
      y: a quantity of metrics.jsonl.

    Raises:
      SettingError: a folder holds no run, x or y is none, or a seed of a group is there twice.
    """
    if x not in X_AXES:
        raise SettingError(f"x must be one of {', '.join(X_AXES)}, not {x!r}.")
    if not folders:
        raise SettingError("folders must name at least one run.")
    runs = [history for folder in folders for history in read_histories(folder)]
    for run in runs:
        if y not in quantities(run.rows):
            known = ", ".join(quantities(run.rows))
            raise SettingError(f"y must be a quantity of every run ({known} in {run.run.folder}), not {y!r}.")
    tasks = labels([run.task() for run in runs], "env")
    methods = labels([{"algorithm": run.run.algorithm} | run.settings() for run in runs], "algorithm", tasks)
    together: dict[tuple[str, str], list[History]] = {}
    for run, *key in zip(runs, tasks, methods, strict=True):
        together.setdefault((key[0], key[1]), []).append(run)
    found = {key: joined(members, x, y) for key, members in together.items()}
    return _compared(x, y, found, _varied(runs, methods))


def _varied(runs: Sequence[History], methods: Sequence[str]) -> list[str]:
    """The settings that a method does not have alike on all of its tasks."""
    first: dict[str, History] = {}
    for run, method in zip(runs, methods, strict=True):
        first.setdefault(method, run)
    kinds = [(run.settings(), first[method].settings()) for run, method in zip(runs, methods, strict=True)]
    return list(dict.fromkeys(name for one, other in kinds for name in one if one[name] != other[name]))


def _compared(x: str, y: str, found: dict[tuple[str, str], list[Trace]], varied: list[str]) -> Comparison:
    """The comparison of (task, method) -> its seeds."""
    tasks, methods = (list(dict.fromkeys(key[at] for key in found)) for at in (0, 1))
    range_of = {task: value_range([trace for key in found for trace in found[key] if key[0] == task]) for task in tasks}
    if nothing := next((task for task in tasks if not np.isfinite(range_of[task][0])), None):
        raise SettingError(f"y must have a finite value to be drawn, and no run on {nothing} has one of {y!r}.")
    groups = [group(*key, found[key], range_of[key[0]][0] if y in RETURNS else np.nan) for key in found]
    ends = {task: float(min(one.x[-1] for one in groups if one.task == task)) for task in tasks}
    scores = {}
    for one in groups if y in RETURNS else []:
        low, high = range_of[one.task]
        last = np.array([np.interp(ends[one.task], one.x, values) for values in one.values.T])
        scores[one.task, one.method] = (last - low) / ((high - low) or 1.0)
    everywhere = [method for method in methods if all((task, method) in scores for task in tasks)]
    per_task = {method: [scores[task, method] for task in tasks] for method in everywhere if len(tasks) > 1}
    profiles = [profile(method, per_task[method]) for method in per_task]
    improvements = [improvement(a, b, per_task[a], per_task[b]) for a, b in itertools.combinations(per_task, 2)]
    return Comparison(x, y, tasks, methods, varied, groups, ends, scores, profiles, improvements)


def profile(method: str, scores: Sequence[np.ndarray], thresholds: np.ndarray | None = None) -> Profile:
    """A performance profile (Agarwal et al. 2021, section 4.2) with pointwise bounds, tasks being strata.

    Args:
      scores: [S] of each task.
      thresholds: [K]; 101 from 0 to 1 by default.
    """
    at = np.linspace(0, 1, 101) if thresholds is None else thresholds
    above = [(score > at[:, None]).astype(float) for score in scores]  # [K, S] each

    def share(*samples, axis):
        return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)

    return Profile(method, at, share(*above, axis=-1), *stratified(above, share))


def improvement(better: str, worse: str, x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> Improvement:
    """The probability of improvement (Agarwal et al. 2021, section 4.3) of x over y, [S] scores of each task.

    The mean over tasks of Mann and Whitney's U over n m; every task's seeds of either method are a stratum.
    """

    def share(*samples, axis):
        tasks = zip(samples[: len(x)], samples[len(x) :], strict=True)
        return np.mean([superiority(one, other, axis) for one, other in tasks], axis=0)

    low, high = stratified([*x, *y], share)
    return Improvement(better, worse, float(share(*x, *y, axis=-1)), float(low), float(high))
