"""Does it learn? The small tasks: a JSON file per task under benchmarks/results/learning/.

    python benchmarks/learning.py              # every task
    python benchmarks/learning.py pendulum brax-reacher # some of them

Each file holds the command, the learning curve, the deterministic returns of every seed's final policy on fresh
episodes and of its best evaluation on the way, their means with a 95% interval (Student's t over seeds), wall-clock,
device and versions.
"""

import argparse
import json
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from ddpg_jax import metrics
from ddpg_jax.cli import main as ddpg_jax
from ddpg_jax.experiment import evaluate_run
from ddpg_jax.run_folder import read_config

RESULTS = Path(__file__).parent / "results" / "learning"
SMALL = "--hidden 64 64 --batch-size 64"
TASKS = {
    "pendulum": f"ddpg --env Pendulum-v1 --steps 30000 {SMALL}",
    "pendulum-td3": f"td3 --env Pendulum-v1 --steps 30000 {SMALL}",
    "pendulum-sac": f"sac --env Pendulum-v1 --steps 30000 {SMALL}",
    "reacher-misc": f"ddpg --env Reacher-misc --steps 50000 {SMALL}",
    "mountain-car": f"ddpg --env MountainCarContinuous-v0 --steps 100000 {SMALL}",
    "mountain-car-ou": f"ddpg --env MountainCarContinuous-v0 --steps 100000 --noise ou --noise-scale 0.3 {SMALL}",
    "brax-inverted-pendulum": "ddpg --env brax/inverted_pendulum --steps 80000 --evaluations 16 "
    f"--actor-lr 3e-4 --critic-lr 3e-4 {SMALL}",
    "brax-reacher": "ddpg --env brax/reacher --steps 100000 --num-envs 4 --updates-per-step 4 --evaluations 10 "
    + SMALL,
}
EPISODES = 128


def interval(values: list[float]) -> dict[str, Any]:
    """The mean over seeds with its 95% interval."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2 or np.ptp(values) == 0:
        return {"mean": mean, "low": mean, "high": mean, "seeds": count}
    low, high = scipy.stats.t.interval(0.95, count - 1, loc=mean, scale=scipy.stats.sem(values))
    return {"mean": mean, "low": float(low), "high": float(high), "seeds": count}


def measure(name: str, flags: str, seeds: int) -> dict[str, Any]:
    """Trains one task through the command line and evaluates it on fresh episodes."""
    folder = Path(tempfile.mkdtemp()) / "run"
    command = f"train {flags} --seeds {seeds} --out {folder}"
    began = time.perf_counter()
    if ddpg_jax(shlex.split(command)):
        raise SystemExit(f"{name}: training failed")
    seconds = time.perf_counter() - began
    rows = evaluate_run(folder, EPISODES, seed=12345)["seeds"]
    stored, curve = read_config(folder), metrics.read(folder)
    shutil.rmtree(folder.parent)
    return {
        "task": name,
        "command": f"ddpg-jax train {flags} --seeds {seeds}",
        "seconds": round(seconds, 1),
        "episodes": EPISODES,
        "return": interval([row["mean"] for row in rows]),
        "best": interval(np.max([row["eval_return"] for row in curve], axis=0).tolist()),
        "seeds": rows,
        "curve": {key: [row[key] for row in curve] for key in ("steps", "updates", "seconds", "eval_return")},
        "device": stored["device"],
        "versions": stored["versions"],
    }


def main() -> None:
    """Runs the tasks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="task", help=", ".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    unknown = set(chosen.tasks) - set(TASKS)
    if unknown:
        parser.error(f"no task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in chosen.tasks or TASKS:
        result = measure(name, TASKS[name], chosen.seeds)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, result["return"], f"{result['seconds']} s", file=sys.stderr)


if __name__ == "__main__":
    main()
