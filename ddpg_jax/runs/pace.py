"""How fast a run is between two rows of its metrics, compilation left out, and how long it will take."""

from collections.abc import Mapping
from typing import Any

from ddpg_jax.runs.plan import Plan

SHORT = 1e-9  # seconds, below which nothing is divided by them
UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60))  # a unit and its seconds, and the next smaller one


def running_seconds(row: Mapping[str, Any], previous: Mapping[str, Any]) -> float:
    """Returns the seconds between two rows in which nothing was compiled; rows of old runs count all of them."""
    compiling = row.get("compile_seconds", 0.0) - previous.get("compile_seconds", 0.0)
    return max(row["seconds"] - previous["seconds"] - compiling, SHORT)


def rates(row: Mapping[str, Any], previous: Mapping[str, Any]) -> tuple[float, float]:
    """Returns environment steps and updates per second between two rows, summed over seeds."""
    seeds, seconds = len(row["eval_return"]), running_seconds(row, previous)
    steps, updates = ((row[name] - previous[name]) * seeds / seconds for name in ("steps", "updates"))
    return steps, updates


def seconds_left(row: Mapping[str, Any], previous: Mapping[str, Any], plan: Plan) -> float | None:
    """Returns the seconds that the rest of a run takes at the pace between two rows; None where there was no step."""
    done, left = row["steps"] - previous["steps"], plan.steps(plan.bounds[-1]) - row["steps"]
    return left / done * running_seconds(row, previous) if done > 0 else None


def duration(seconds: float) -> str:
    """Returns a duration in words, to two units and at least a second: "45 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    for unit, size, smaller, small in UNITS:
        if seconds >= size:
            whole, rest = divmod(round(seconds / small), size // small)
            return f"{whole} {unit}" + f" {rest} {smaller}" * (rest > 0)
    return f"{seconds / 60:,.0f} min" if seconds >= 60 else f"{max(seconds, 1):,.0f} s"
