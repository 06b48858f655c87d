"""Words and numbers for people: names of quantities, numbers in tables and on axes, legends and captions."""

import math
from typing import Any

from ddpg_jax.results.compare import RETURNS, Comparison

X_AXIS_NAMES = {
    "steps": "environment steps per seed",
    "updates": "gradient updates per seed",
    "seconds": "seconds, all seeds of a run together",
}
# The quantities of metrics.jsonl, in the order in which a person looks at them.
NAMES = {
    "eval_return": "evaluation return",
    "eval_length": "evaluation length",
    "episode_return": "training return",
    "eval_q": "Q at the first step",
    "eval_discounted": "discounted return from there",
    "overestimation": "overestimation of Q",
    "critic/loss": "critic loss",
    "actor/loss": "actor loss",
    "eval_saturation": "saturated actions",
    "noise_scale": "noise scale",
}


def cell(value: Any) -> str:
    """A value as a table shows it: whole numbers in full, others to three digits or one decimal place."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
    if isinstance(value, float):
        return "not finite"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def tick(value: float, most: float | None = None) -> str:
    """A number on an axis: 10k for ten thousand, 2M for two million.

    Args:
      most: the greatest on the axis, whose unit all of them take; below ten thousand there is none.
    """
    most = abs(value) if most is None else most
    size, letter = next((unit for unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")) if most >= unit[0]), (1.0, ""))
    return f"{value / (1e3 if letter == 'k' else size):.6g}{letter if value else ''}".replace("-", "−")


def named(quantity: str) -> str:
    """A quantity in words."""
    return NAMES.get(quantity, quantity.replace("/", " ").replace("_", " "))


def legend_label(comparison: Comparison, method: str) -> str:
    """Returns the legend's label of a method: its name, its number of seeds and how many of them diverged."""
    groups = [group for group in (*comparison.groups, *comparison.unmeasured) if group.method == method]
    counts = sorted({len(group.seeds) for group in groups})
    diverged = sum(len(group.diverged) for group in groups)
    total = sum(len(group.seeds) for group in groups)
    if diverged:
        return f"{method} ({diverged} of {total} seed{'s' * (total > 1)} diverged)"
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    return f"{method} ({seeds}{' each' * (len(groups) > 1)})"


def caption(comparison: Comparison) -> str:
    """Returns the caption of a figure: what its lines, bands, crosses and lower panels show, as far as it has them."""
    groups = comparison.groups
    if any(len(group.seeds) > 1 for group in groups):
        sentences = ["Lines are interquartile means over seeds, bands their 95% bootstrap intervals."]
    else:
        sentences = ["Each line is a single seed." if len(groups) > 1 else "The line is a single seed."]
    if any(group.diverged for group in groups):
        counted = "counts with the worst return of any run on the task" if comparison.y in RETURNS else "is excluded"
        sentences.append(f"× marks where a seed diverged; from there on, it {counted}.")
    if comparison.unmeasured:
        names = ", ".join(f"{group.method} on {group.task}" for group in comparison.unmeasured)
        sentences.append(f"No value of {named(comparison.y)} was finite, so that there is no curve: {names}.")
    if comparison.profiles:
        compared_at = {f"{tick(x)} {comparison.x}" for x in comparison.compared_at.values()}
        where = compared_at.pop() if len(compared_at) == 1 else "the last evaluation that all methods share on a task"
        sentences.append(f"The lower panels compare scores at {where}.")
        if missing := len(comparison.methods) - len(comparison.profiles):
            count = f"{missing} of {len(comparison.methods)} methods"
            sentences.append(f"They leave out {count}, which did not run on every task.")
    if comparison.varying_settings:
        sentences.append(f"Settings that differ between tasks: {', '.join(comparison.varying_settings)}.")
    return " ".join(sentences)
