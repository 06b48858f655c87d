"""Comparisons of runs as plain numbers: curves of groups of seeds, performance profiles, probabilities of improvement
(Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice").

A group has runs that differ in nothing but their seeds. A method is an algorithm with its settings, a task an
environment with its options. A seed that diverged counts with the worst return of any run on the task, in curves,
profiles and improvements alike; curves.py says why.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.results.curves import (
    Group,
    distinct_names,
    group_without_values,
    has_values,
    join_traces,
    make_group,
    value_range,
)
from ddpg_jax.results.history import History, Trace, quantities, read_histories
from ddpg_jax.runs.metrics import X_AXES
from ddpg_jax.runs.statistics import stratified, superiority
from ddpg_jax.runs.stored_run import Run

RETURNS = {"eval_return", "episode_return", "eval_discounted"}  # quantities of which more is better


class Profile(NamedTuple):
    """The fraction of a method's runs whose score is above each threshold, averaged over tasks."""

    method: str
    thresholds: np.ndarray  # [K] from 0 to 1
    fraction: np.ndarray  # [K]
    low: np.ndarray  # [K] of its 95% bootstrap interval
    high: np.ndarray  # [K]


class Improvement(NamedTuple):
    """The probability that a run of `method` scores above one of `baseline`, averaged over tasks; a tie counts half."""

    method: str
    baseline: str
    probability: float
    low: float  # of its 95% bootstrap interval
    high: float


class Comparison(NamedTuple):
    """The numbers that `plot` draws."""

    x: str
    y: str
    tasks: list[str]
    methods: list[str]
    varying_settings: list[str]  # settings of a method that differ between its tasks
    groups: list[Group]
    unmeasured: list[Group]  # those without a finite value, as where a loss was never finite; they have no curve
    compared_at: dict[str, float]  # the x at which methods are compared on a task: the last that all of them have
    scores: dict[tuple[str, str], np.ndarray]  # (task, method) -> [S] scores at that x, from 0 to 1, of measured seeds
    profiles: list[Profile]  # of the methods that ran on every task, if there are several tasks
    improvements: list[Improvement]  # of every pair of those methods


def compare(folders: Sequence[str | Path | Run], x: str = "steps", y: str = "eval_return") -> Comparison:
    """Reads runs and computes how they compare.

    Scores are returns at `compared_at`, scaled so that the range of all evaluations of all these runs on the task is 0
    to 1; so they are comparable within one comparison only. A method that was first measured after that has none, nor
    has a seed that neither was measured nor diverged.

    Args:
      folders: run folders, or sweeps, each of whose settings counts as a run; or what `open_run` returns of them.
      x: "steps" and "updates" are per seed, "seconds" of the whole run with all of its seeds.
      y: a quantity of metrics.jsonl.

    Raises:
      SettingError: a folder holds no run, x or y does not exist, a run has no seconds of its own, or two runs of a
        group have the same seed.
    """
    if x not in X_AXES:
        raise SettingError(f"x must be one of {', '.join(X_AXES)}, not {x!r}.")
    if not folders:
        raise SettingError("folders must name at least one run.")
    histories = [history for folder in folders for history in read_histories(folder)]
    for history in histories:
        if y not in quantities(history.rows):
            known = ", ".join(quantities(history.rows))
            raise SettingError(f"y must be a quantity of every run ({known} in {history.run.folder}), not {y!r}.")
        if x == "seconds" and not history.is_timed():
            raise SettingError(
                f"x must be steps or updates for {history.run.folder}, not 'seconds': it has no time of its own; "
                "trials of a sweep share one clock."
            )
    tasks = distinct_names([history.task() for history in histories], "env")
    settings = [{"algorithm": history.run.algorithm} | history.settings() for history in histories]
    methods = distinct_names(settings, "algorithm", tasks)
    members: dict[tuple[str, str], list[History]] = {}
    for history, task, method in zip(histories, tasks, methods, strict=True):
        members.setdefault((task, method), []).append(history)
    traces = {key: join_traces(group, x, y) for key, group in members.items()}
    return _compare_traces(x, y, traces, _varying_settings(settings, methods))


def _varying_settings(settings: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[str]:
    first: dict[str, dict[str, Any]] = {}
    names: list[str] = []
    for values, method in zip(settings, methods, strict=True):
        reference = first.setdefault(method, values)
        names += [name for name in values | reference if values.get(name) != reference.get(name)]
    return list(dict.fromkeys(names))


def _compare_traces(x: str, y: str, traces: dict[tuple[str, str], list[Trace]], varying: list[str]) -> Comparison:
    """Compares the seeds of each (task, method)."""
    tasks, methods = (list(dict.fromkeys(names)) for names in zip(*traces, strict=True))
    ranges = {task: value_range([one for key in traces if key[0] == task for one in traces[key]]) for task in tasks}
    if without := next((task for task in tasks if not np.isfinite(ranges[task][0])), None):
        raise SettingError(f"y must have a finite value to be drawn, and no run on {without} has one of {y!r}.")
    worst = {key: ranges[key[0]][0] if y in RETURNS else np.nan for key in traces}
    measured = {key: has_values(traces[key], worst[key]) for key in traces}
    groups = [make_group(*key, traces[key], worst[key]) for key in traces if measured[key]]
    unmeasured = [group_without_values(*key, traces[key]) for key in traces if not measured[key]]
    compared_at = {task: _last_shared([group for group in groups if group.task == task]) for task in tasks}
    scores = {}
    for group in groups if y in RETURNS else []:
        low, high = ranges[group.task]
        if group.x[0] > compared_at[group.task]:
            continue  # it was first measured when another had ended already
        last = np.array([np.interp(compared_at[group.task], group.x, values) for values in group.values.T])
        last = last[np.isfinite(last)]  # a seed none of whose training episodes has ended has no training return
        scores[group.task, group.method] = (last - low) / ((high - low) or 1.0)
    on_every_task = [method for method in methods if all((task, method) in scores for task in tasks)]
    per_task = {method: [scores[task, method] for task in tasks] for method in on_every_task if len(tasks) > 1}
    profiles = [profile(method, per_task[method]) for method in per_task]
    improvements = [improvement(a, b, per_task[a], per_task[b]) for a, b in itertools.combinations(per_task, 2)]
    return Comparison(x, y, tasks, methods, varying, groups, unmeasured, compared_at, scores, profiles, improvements)


def _last_shared(groups: Sequence[Group]) -> float:
    """Returns the last x of all groups; not of one whose seeds have all diverged, which keeps the worst return."""
    surviving = [group for group in groups if len(group.diverged) < len(group.seeds)]
    return float(min(group.x[-1] for group in surviving or groups))


def profile(method: str, scores: Sequence[np.ndarray], thresholds: np.ndarray | None = None) -> Profile:
    """Computes a performance profile (Agarwal et al. 2021, section 4.2) with pointwise bounds, stratified by task.

    Args:
      method: its name.
      scores: [S] of each task.
      thresholds: [K]; 101 from 0 to 1 by default.
    """
    thresholds = np.linspace(0, 1, 101) if thresholds is None else thresholds
    above = [(score > thresholds[:, None]).astype(float) for score in scores]  # [K, S] each

    def fraction(*samples, axis):
        return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)

    return Profile(method, thresholds, fraction(*above, axis=-1), *stratified(above, fraction))


def improvement(method: str, baseline: str, x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> Improvement:
    """Computes the probability of improvement (Agarwal et al. 2021, section 4.3) of x over y, [S] scores of each task.

    It is the mean over tasks of Mann and Whitney's U / (n m), its bounds stratified by task and method.
    """

    def probability(*samples, axis):
        pairs = zip(samples[: len(x)], samples[len(x) :], strict=True)
        return np.mean([superiority(one, other, axis) for one, other in pairs], axis=0)

    low, high = stratified([*x, *y], probability)
    return Improvement(method, baseline, float(probability(*x, *y, axis=-1)), float(low), float(high))
