"""From nothing: seconds from the command line to a solved task, everything included.

    python benchmarks/solve.py            # 5 seeds of each task

Solved is the first mean return over the evaluation's episodes at or above the goal. Each seed is a command of its
own; the compilation cache is empty for the first and holds the program for the others. Writes
benchmarks/results/solve.json.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ddpg_jax.device import cores

RESULTS = Path(__file__).parent / "results" / "solve.json"
SEEDS = 5
TASKS = {
    "Pendulum-v1": (
        -200.0,
        "train ddpg --env Pendulum-v1 --hidden 64 64 --batch-size 64 --steps 20000 --evaluations 38 "
        "--replay-capacity 100000",
    ),
    "brax/inverted_pendulum": (
        900.0,
        "train td3 --env brax/inverted_pendulum --hidden 64 64 --batch-size 64 --steps 51000 --evaluations 25 "
        "--eval-episodes 16 --replay-capacity 100000 --actor-lr 3e-4 --critic-lr 3e-4",
    ),
}


def solve(goal: float, command: str, seed: int, cache: str) -> dict[str, Any]:
    """Starts the command, waits for the goal in its metrics, and ends it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = [sys.executable, "-m", "ddpg_jax", *shlex.split(command), "--seed", str(seed), "--out", str(out)]
        began = time.time()
        process = subprocess.Popen(words, env=os.environ | {"XDG_CACHE_HOME": cache}, stdout=subprocess.DEVNULL)
        row, ended = None, False
        while row is None and not ended:
            time.sleep(0.05)
            ended = process.poll() is not None
            row = first_at(goal, out / "metrics.jsonl")
        seconds = time.time() - began
        process.kill()
        process.wait()
    print(seed, round(seconds, 1), row, flush=True)
    return {"seed": seed, "seconds": round(seconds, 2) if row else None, "steps": row and row["steps"]}


def first_at(goal: float, metrics: Path) -> dict[str, Any] | None:
    """The first whole line whose evaluation reached the goal, if there is one."""
    lines = metrics.read_text(encoding="utf-8").split("\n")[:-1] if metrics.exists() else []
    rows = (json.loads(line) for line in lines)
    return next((row for row in rows if row["eval_return"][0] is not None and row["eval_return"][0] >= goal), None)


def main() -> None:
    """Solves every task with every seed."""
    results = {}
    for task, (goal, command) in TASKS.items():
        with tempfile.TemporaryDirectory() as cache:
            rows = [solve(goal, command, seed, cache) for seed in range(SEEDS)]
        results[task] = {"goal": goal, "command": f"ddpg-jax {command}", "seeds": rows}
    result = {"command": "python benchmarks/solve.py", "cores": cores(), "tasks": results}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
