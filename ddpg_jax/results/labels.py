"""Words and numbers for people: names of quantities, numbers in tables and on axes, legends and captions."""

import math
from typing import Any

from ddpg_jax.results.compare import Comparison

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


def labelled(comparison: Comparison, method: str) -> str:
    """A line of the legend: the method, its seeds and how many of them diverged."""
    groups = [group for group in comparison.groups if group.method == method]
    counts = sorted({len(group.seeds) for group in groups})
    dead = sum(len(group.diverged) for group in groups)
    total = sum(len(group.seeds) for group in groups)
    if dead:
        return f"{method} ({dead} of {total} seed{'s' * (total > 1)} diverged)"
    many = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    return f"{method} ({many}{' each' * (len(groups) > 1)})"


def caption(comparison: Comparison) -> str:
    """What the lines, bands and crosses are, as far as they are there."""
    groups = comparison.groups
    several = any(len(group.seeds) > 1 for group in groups)
    said = [
        "Interquartile mean over seeds with its 95% bootstrap interval."
        if several
        else "A single seed" + " each" * (len(groups) > 1) + "."
    ]
    if any(group.diverged for group in groups):
        fate = "counts with the worst return of any run on the task from then on"
        fate = fate if comparison.scores else "is left out from then on"
        said.append(f"×: a seed diverged; it {fate}.")
    if comparison.profiles:
        ends = {f"{tick(end)} {comparison.x}" for end in comparison.ends.values()}
        said.append(f"Below: scores at {ends.pop() if len(ends) == 1 else 'the last point that all methods have'}.")
    left_out = len(comparison.methods) - len(comparison.profiles)
    if comparison.profiles and left_out:
        said.append(f"{left_out} of {len(comparison.methods)} methods did not run on every task and are not below.")
    if comparison.varied:
        said.append(f"Settings other from task to task: {', '.join(comparison.varied)}.")
    return " ".join(said)
