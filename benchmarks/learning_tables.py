"""Tables about learning: the search for defaults, what goes wrong with one wrong setting, and policies in Gymnasium."""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import defaults
import diagnosis as wrong
import numpy as np
from markdown import table
from tasks import (
    CONFIRMING,
    CPU_TASKS,
    GYMNASIUM,
    HELD_OUT,
    LEAGUE,
    METHODS,
    OWN_TASKS,
    SUITES,
    TRIED,
    TUNED_BEFORE,
    TUNING,
    option,
)

from ddpg_jax.runs.statistics import interval, stratified, superiority

RESULTS = Path(__file__).parent / "results"
VARIANTS = {  # of the defaults, with 256-256
    "unnormalized": "`--norm none`",
    "before": "`--norm none --actor-lr 1e-3`",
    "slow-critic": "`--critic-lr 3e-4`",
}
NAMES = {"rejax": "rejax", "sbx": "SBX", "brax": "Brax"}


def searched_defaults() -> str:
    """Returns all candidates of the search for defaults, the best of every algorithm first."""
    parts = []
    for algorithm in LEAGUE:
        rows = defaults.table(algorithm)
        cells = [[f"**{score}** ({bounds})", f"`{name}`", mean, each] for score, bounds, name, mean, each in rows]
        parts.append(table([f"`{algorithm}`: score", "settings", "mean", ", ".join(TUNING)], cells))
    return "\n\n".join(parts)


def learned(task: str, method: str) -> dict[str, Any] | None:
    """Returns the result of a method on a task, or None if it was not run."""
    path = RESULTS / "learning" / f"{task}--{method}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def ends(result: dict[str, Any]) -> list[float]:
    """Returns the return of every seed's final policy; a seed that diverged counts as minus infinity."""
    means = (row["mean"] for row in result["seeds"])
    return [-math.inf if mean is None or not math.isfinite(mean) else mean for mean in means]


def ends_of_both(tasks: Iterable[str], first: str, second: str) -> dict[str, tuple[list[float], list[float]]]:
    """Returns the final returns of two methods, on the tasks on which both were run."""
    results = ((task, learned(task, first), learned(task, second)) for task in tasks)
    return {task: (ends(one), ends(other)) for task, one, other in results if one and other}


def improvement(pairs: Sequence[tuple[Any, Any]]) -> tuple[float, float, float]:
    """Returns the probability that a seed of the first is above one of the second, the mean over tasks, with bounds.

    Args:
      pairs: of every task the final returns of both, [S] each (Agarwal et al. 2021, section 4.3).
    """

    def mean(*samples, axis=-1):
        return np.mean([superiority(x, y, axis) for x, y in zip(samples[::2], samples[1::2], strict=True)], axis=0)

    samples = [np.asarray(sample) for pair in pairs for sample in pair]
    low, high = stratified(samples, mean)
    return float(mean(*samples)), float(low), float(high)


def chance(pairs: Sequence[tuple[Any, Any]]) -> str:
    """Returns `improvement` in words."""
    return "{:.0%} ({:.0%} to {:.0%})".format(*improvement(pairs))


def held_out() -> str:
    """Returns the candidates and the defaults of that time, on tasks that the search did not see."""
    new = tuple(task for task in HELD_OUT if task != TUNED_BEFORE)
    return tried(HELD_OUT, {"all five": HELD_OUT, f"all but {TUNED_BEFORE}": new})


def confirmed() -> str:
    """Returns the same on tasks that were run after the choice."""
    return tried(CONFIRMING, {"all three": CONFIRMING, "these and the five above": (*HELD_OUT, *CONFIRMING)})


def tried(tasks: Sequence[str], groups: dict[str, Sequence[str]]) -> str:
    """Returns the candidates and the defaults of that time, on groups of tasks and on each task."""
    rows = []
    for algorithm, flags, candidate, before in TRIED:
        pairs = ends_of_both(dict.fromkeys(itertools.chain(*groups.values())), candidate, before)
        for name, members in groups.items():
            if all(task in pairs for task in members):
                better = chance([pairs[task] for task in members])
                rows.append([f"**`{algorithm}`**", name, f"`{flags}`", "", f"**{better}**"])
        rows += [
            [f"`{algorithm}`", task, *map(interval_of, pairs[task]), chance([pairs[task]])]
            for task in tasks
            if task in pairs
        ]
    return table(["algorithm", "task", "candidate", "defaults of that time", "P(candidate higher)"], rows)


def wide() -> str:
    """Returns the defaults with networks of 256-256, and variants with the probability that they end higher."""
    rows = []
    for algorithm, task in itertools.product(LEAGUE, OWN_TASKS):
        default = learned(task, f"{algorithm}-own")
        variants = [learned(task, f"{algorithm}-{kind}") for kind in VARIANTS]
        if default and any(variants):
            place = [task.removeprefix("own-"), f"{int(option(task, '--steps')):,}", f"`{algorithm}`"]
            cells = [cell for variant in variants for cell in _beside(variant, default)]
            rows.append([*place, interval_of(ends(default)), *cells])
    heads = [head for flags in VARIANTS.values() for head in (flags, "P(higher than defaults)")]
    return table(["task", "steps per seed", "algorithm", "defaults", *heads], rows)


def _beside(result: dict[str, Any] | None, default: dict[str, Any]) -> list[str]:
    """Returns a result, and the probability that it is above another one; nothing where it was not run."""
    return [interval_of(ends(result)), chance([(ends(result), ends(default))])] if result else ["", ""]


def residual() -> str:
    """Returns SAC with residual blocks beside its default networks, on the tasks on which both were run."""
    pairs = ends_of_both(SUITES["networks"].tasks, "sac-residual", "sac")
    rows = [[task, *map(interval_of, pair), chance([pair])] for task, pair in pairs.items()]
    return table(["task", f"`{METHODS['sac:residual']}`", "`--hidden 64 64`", "P(residual higher)"], rows)


def interval_of(returns: list[float]) -> str:
    """Returns the interquartile mean of returns with its interval, without decimals from a thousand on."""
    middle = interval(returns)
    digits = 0 if abs(middle.iqm) >= 1000 else 1
    return f"{middle.iqm:,.{digits}f} ({middle.low:,.{digits}f} to {middle.high:,.{digits}f})"


def scores_of(tasks: Iterable[str], method: str, random: dict[str, float]) -> list[np.ndarray]:
    """Returns of every task that has a result the scores of a method's final policies, [S] each."""
    results = {task: learned(task, method) for task in tasks if task in random}
    return [defaults.score(task, ends(result), random[task]) for task, result in results.items() if result]


def profiles() -> dict[str, dict[str, list[np.ndarray]]]:
    """Returns the scores in the league, and those of each other library and ours in the same tasks, with defaults."""
    random = defaults.stored(defaults.RANDOM)
    panels = {"the league": {name: scores_of(CPU_TASKS, name, random) for name in LEAGUE}}
    for other, title in NAMES.items():
        ours, theirs = [], []
        for task in OWN_TASKS:
            for algorithm in LEAGUE:
                pair = [scores_of([task], name, random) for name in (f"{algorithm}-own", f"{other}-{algorithm}")]
                if all(pair):
                    ours, theirs = ours + pair[0], theirs + pair[1]
        if ours:
            panels[f"compared with {title}"] = {"ddpg_jax": ours, title: theirs}
    return {title: curves for title, curves in panels.items() if all(curves.values())}


def crossing() -> str:
    """Returns the returns of policies in Brax, where they were trained, and in Gymnasium."""
    rows = []
    for task, other in GYMNASIUM.items():
        for method in (*LEAGUE, *(f"{name}-before" for name in LEAGUE)):
            if result := learned(task, method):
                here, there = ends(result), [row["mean"] for row in result["gymnasium"][other]]
                kept = " ".join(f"{after / before:.0%}" for before, after in zip(here, there, strict=True))
                steps = f"{result['curve']['steps'][-1]:,}"
                rows.append([f"`{result['command']}`", steps, interval_of(here), interval_of(there), kept])
    head = ["command", "steps per seed", "return in Brax (mjx)", "in Gymnasium's MuJoCo", "kept, seed by seed"]
    return table(head, rows)


def carried_over() -> str:
    """Returns a sentence about policies of Brax in Gymnasium."""
    parts, networks = [], {"crossing-halfcheetah": "networks of 64-64", "locomotion-halfcheetah": "the default ones"}
    for task, network in networks.items():
        results = {method: found for method in LEAGUE if (found := learned(task, method))}
        returns = []
        for method, one in results.items():
            there = interval_of([row["mean"] for row in one["gymnasium"][GYMNASIUM[task]]])
            returns.append(f"{method} {interval_of(ends(one))} in Brax and {there} in MuJoCo")
            steps, seeds, other = one["curve"]["steps"][-1], len(one["seeds"]), GYMNASIUM[task]
        parts.append(f"with {network}, {', '.join(returns)}")
    return (
        f"- **Out of Brax**: after {steps:,} steps of its halfcheetah (`mjx`, {seeds} seeds), policies are played in "
        f"Gymnasium's {other} without retraining: {'; '.join(parts)}."
    )


def diagnosis() -> str:
    """Returns a row per run with one wrong setting: its return and what the diagnostics said."""
    found, rows = json.loads((RESULTS / "diagnosis.json").read_text(encoding="utf-8")), []
    for name, case in wrong.CASES.items():
        if name in found:
            rows.append([case.what, f"`{changed(case)}`", *signs(found[name])])
    head = ["what is wrong", "changed", "return", "Q at the start : discounted return from there", "saturated actions"]
    return table([*head, "critic's loss", "norm of the gradients, critic and actor"], rows)


def changed(case: wrong.Case) -> str:
    """Returns what the command of a case adds to that of the sound run, or its task."""
    return case.command.removeprefix(wrong.PENDULUM).strip() or case.command


def signs(row: dict[str, Any]) -> list[str]:
    """Returns the last diagnostics of a run in words."""
    end = row["return"]
    return [
        f"**{end['iqm']:,.0f}** ({end['low']:,.0f} to {end['high']:,.0f})",
        f"{row['eval_q']:,.0f} : {row['eval_discounted']:,.0f}",
        f"{row['eval_saturation']:.0%}",
        f"{row['critic/loss']:,.3g}",
        f"{row['critic/grad_norm']:,.3g}, {row['actor/grad_norm']:,.3g}",
    ]
