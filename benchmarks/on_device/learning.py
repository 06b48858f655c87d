"""Whether agents learn: DDPG on Pendulum-v1 with 64 seeds, as `ddpg-jax train` runs it, folder included."""

import tempfile
import time
from pathlib import Path
from typing import Any

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, run_experiment
from ddpg_jax.runs.statistics import interval, iqm
from on_device.rows import Rows

NETWORKS = {"64-64, minibatch 64": ((64, 64), 64), "256-256, minibatch 256": ((256, 256), 256)}


def run(rows: Rows, options: Any) -> None:
    """Trains with small and with large networks."""
    for name, (hidden, batch) in list(NETWORKS.items())[: 1 if options.toy else None]:
        rows.attempt(name, train, hidden, batch, options.toy)


def train(hidden: tuple[int, ...], batch: int, toy: bool) -> dict[str, Any]:
    """Returns the final evaluation over seeds and the time that it took."""
    steps, seeds = (320, 2) if toy else (20_000, 64)
    loop = LoopConfig(batch_size=batch, replay_capacity=20_000, warmup_steps=300 if toy else 1000)
    curve: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        how: dict[str, Any] = {"tensorboard": False, "devices": 1, "checkpoint_seconds": None}
        how |= {"evaluations": 2 if toy else 10, "eval_episodes": 2 if toy else 32}
        began = time.perf_counter()
        settings = RunConfig(steps=steps, seeds=seeds, out=Path(folder, "run"), **how)
        result = run_experiment(
            "ddpg", DDPGConfig(hidden=hidden), loop, settings, None, lambda row, plan: curve.append(dict(row))
        )
        seconds = time.perf_counter() - began
    means = [row["mean"] for row in result.table if row["mean"] is not None]
    points = [
        {"steps": row["steps"], "seconds": row["seconds"], "iqm": float(iqm(row["eval_return"]))} for row in curve
    ]
    summary = {"seeds": seeds, "steps": steps, "diverged": seeds - len(means), "seconds": seconds}
    return summary | interval(means)._asdict() | {"means": means, "curve": points}
