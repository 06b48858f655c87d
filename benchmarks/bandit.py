"""Compares the deterministic and the stochastic gradient on the continuous bandit of Silver et al. 2014, section 5.1.

    python benchmarks/bandit.py

Reward -(a - a*)' C (a - a*), a* = (4, ..., 4), C a random rotation of eigenvalues 0.1 and 1 in equal parts, no noise.
The critic is refitted, by least squares with a bias, to each successive batch of 2m steps; the actor then takes one
gradient ascent step with this critic:

- COPDAC-B: w of the features a - θ, under N(θ, σ²) with σ fixed;
- SAC-B: the batch mean of ∇log π(a) Q(a), under N(θ, exp(y)) with y learned and Q the whole fitted critic;
- SAC-B, bias as baseline: as SAC-B, with the bias left out of Q, since it is not a compatible feature.

The residual of least squares is orthogonal to the features, so the batch mean of ∇log π Q is that of ∇log π r: SAC-B is
REINFORCE without a baseline, whatever its critic. This is why both readings of the paper are measured.

Every setting of a log grid is run with `RUNS` seeds. The one with the lowest log of mean cost, averaged over log-spaced
steps, is run with `RUNS` new seeds, which are written to benchmarks/results/bandit.json and bandit.png. Costs are those
of the mean action: mean, minimum and maximum over runs. Everything is
in float64, since normal equations square the condition number.
"""

import importlib.metadata
import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from bandit_rules import Estimator, Setting, copdac, curvature, run, sac
from figures import bandit

RESULTS = Path(__file__).parent / "results"
DIMENSIONS, STEPS, RUNS, POINTS = (10, 25, 50), 10_000, 5, 40
LEARNING_RATES, SIGMAS, RATIOS = np.geomspace(1e-2, 1, 9), np.geomspace(3e-4, 30, 6), np.geomspace(1e-3, 1, 4)
ALGORITHMS: dict[str, Estimator] = {
    "COPDAC-B": copdac,
    "SAC-B": partial(sac, baseline=False),
    "SAC-B, bias as baseline": partial(sac, baseline=True),
}


def grid(algorithm: str) -> Setting:
    """Returns every setting [S]."""
    ratios = [0.0] if algorithm == "COPDAC-B" else RATIOS
    axes = np.meshgrid(LEARNING_RATES, SIGMAS, ratios, indexing="ij")
    return Setting(*(jnp.asarray(axis.ravel()) for axis in axes))


def measure(algorithm: str, size: int) -> dict[str, Any]:
    """Runs the grid, and the best setting on new seeds."""
    began = time.perf_counter()
    batches = STEPS // (2 * size)
    shown = np.unique(np.geomspace(1, batches, POINTS).round().astype(int))
    single = partial(run, ALGORITHMS[algorithm], curvature(jax.random.key(size), size), batches)
    runs = jax.vmap(single, in_axes=(None, 0))
    settings, keys = grid(algorithm), jax.random.split(jax.random.key(0), 2 * RUNS)
    costs = np.asarray(jax.jit(jax.vmap(runs, in_axes=(0, None)))(settings, keys[:RUNS]))[..., shown - 1]
    score = np.log10(costs.mean(axis=1)).mean(axis=1)
    score = np.where(np.isfinite(score), score, np.inf)  # [S], infinite where a run diverged
    best = Setting(*(float(axis[score.argmin()]) for axis in settings))
    curve = np.asarray(jax.jit(runs)(best, keys[RUNS:]))[:, shown - 1]  # [R, points]
    return {
        "algorithm": algorithm,
        "dimension": size,
        "best": best._asdict(),
        "diverged": float(np.isinf(score).mean()),
        "steps": (shown * 2 * size).tolist(),
        "cost": curve.mean(axis=0).tolist(),
        "low": curve.min(axis=0).tolist(),
        "high": curve.max(axis=0).tolist(),
        "final": interval(curve[:, -1]),
        "seconds": round(time.perf_counter() - began, 1),
    }


def interval(costs: np.ndarray) -> dict[str, float]:
    """Returns the geometric mean over runs with its 95% interval (Student's t on the logarithm)."""
    logs = np.log10(costs)
    half = scipy.stats.t.ppf(0.975, len(logs) - 1) * scipy.stats.sem(logs)
    mean = logs.mean()
    return {"mean": float(10**mean), "low": float(10 ** (mean - half)), "high": float(10 ** (mean + half))}


def main() -> None:
    """Runs everything and writes the file and the figure."""
    jax.config.update("jax_enable_x64", True)
    rows = []
    for size in DIMENSIONS:
        for algorithm in ALGORITHMS:
            rows.append(measure(algorithm, size))
            print({key: rows[-1][key] for key in ("algorithm", "dimension", "best", "seconds")}, rows[-1]["final"])
    device = jax.devices()[0]
    result: dict[str, Any] = {
        "command": "python benchmarks/bandit.py",
        "device": f"{device.platform}: {device.device_kind}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores",
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
        "runs": RUNS,
        "grid": {"learning_rate": LEARNING_RATES.tolist(), "sigma": SIGMAS.tolist(), "y_ratio": RATIOS.tolist()},
        "curves": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bandit.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    bandit(rows, RESULTS / "bandit.png")


if __name__ == "__main__":
    main()
