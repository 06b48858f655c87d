"""Tables about learning: the search for defaults, what goes wrong with one wrong setting, and policies in Gymnasium."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import defaults
import diagnosis as wrong
import numpy as np
from markdown import table
from tasks import GYMNASIUM, HELD_OUT, LEAGUE, TUNING

from ddpg_jax.runs.statistics import interval, stratified, superiority

RESULTS = Path(__file__).parent / "results"


def searched_defaults() -> str:
    """Returns the candidates of the search for defaults, the best three of every algorithm and those before it."""
    parts = []
    for algorithm in LEAGUE:
        rows = defaults.table(algorithm)
        if not rows:
            continue
        shown = [row for place, row in enumerate(rows) if place < 3 or row[2] == "before"]
        cells = [[f"**{score}** ({bounds})", f"`{name}`", each] for score, bounds, name, each in shown]
        parts.append(table([f"`{algorithm}`: score", "settings", ", ".join(TUNING)], cells))
    return "\n\n".join(parts)


def learned(task: str, method: str) -> dict[str, Any] | None:
    """Returns the result of a method on a task, or None if it was not run."""
    path = RESULTS / "learning" / f"{task}--{method}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def ends(result: dict[str, Any]) -> list[float]:
    """Returns the return of every seed's final policy; a seed that diverged counts as minus infinity."""
    means = (row["mean"] for row in result["seeds"])
    return [-math.inf if mean is None or not math.isfinite(mean) else mean for mean in means]


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
    """Returns the defaults beside those before the search, on the tasks that it did not see."""
    rows = []
    for algorithm in LEAGUE:
        pairs = {}
        for task in HELD_OUT:
            both = learned(task, algorithm), learned(task, f"{algorithm}-before")
            if all(both):
                pairs[task] = tuple(map(ends, both))
                rows.append([f"`{algorithm}`", task, *map(shown, pairs[task]), chance([pairs[task]])])
        if pairs:
            rows.append([f"`{algorithm}`", "all", "", "", f"**{chance(list(pairs.values()))}**"])
    head = ["algorithm", "task", "defaults", "those before: `--actor-lr 1e-3 --norm none`", "P(defaults higher)"]
    return table(head, rows)


def shown(returns: list[float]) -> str:
    """Returns the interquartile mean of returns with its interval."""
    middle = interval(returns)
    return f"{middle.iqm:,.1f} ({middle.low:,.1f} to {middle.high:,.1f})"


def crossing() -> str:
    """Returns the returns of policies in Brax, where they were trained, and in Gymnasium."""
    rows = []
    for task, other in GYMNASIUM.items():
        for algorithm in LEAGUE:
            result = learned(task, algorithm)
            if result:
                here, there = ends(result), [row["mean"] for row in result["gymnasium"][other]]
                kept = " ".join(f"{after / before:.0%}" for before, after in zip(here, there, strict=True))
                steps = f"{result['curve']['steps'][-1]:,}"
                rows.append([f"`{result['command']}`", steps, shown(here), shown(there), kept])
    head = ["command", "steps per seed", "return in Brax (mjx)", "in Gymnasium's MuJoCo", "kept, seed by seed"]
    return table(head, rows)


def carried_over() -> str:
    """Returns a sentence about policies of Brax in Gymnasium."""
    task, other = "crossing-halfcheetah", GYMNASIUM["crossing-halfcheetah"]
    result = learned(task, "td3")
    assert result
    here, there = (interval(found).iqm for found in (ends(result), [row["mean"] for row in result["gymnasium"][other]]))
    return (
        f"- **Out of Brax**: TD3's policies after {result['curve']['steps'][-1]:,} steps of its halfcheetah (`mjx`, "
        f"networks of 64-64) return {here:,.0f} there and {there:,.0f} in Gymnasium's {other}, as they are."
    )


def diagnosis() -> str:
    """Returns a row per run with one wrong setting: its return and what the diagnostics said."""
    found, rows = json.loads((RESULTS / "diagnosis.json").read_text(encoding="utf-8")), []
    for name, case in wrong.CASES.items():
        if name in found:
            rows.append([case.what, f"`{changed(case)}`", *signs(found[name])])
    head = ["what is the matter", "changed", "return", "Q at the start, and what was achieved", "saturation"]
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
