"""Compares a sweep as one program with one training command per setting.

    python benchmarks/sweep.py

Runs the sweep of README.md, then `ddpg-jax train` for each of its settings, all with cached programs (each kind of
command has run once before). Writes benchmarks/results/sweep.json, sweep.csv and sweep.png.
"""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
COMMON = "ddpg --env Pendulum-v1 --seeds 4 --steps 10000 --hidden 64 64 --batch-size 64 --replay-capacity 10000"
GRID = {"actor_lr": ["1e-4", "3e-4", "1e-3", "3e-3"], "tau": ["0.002", "0.005", "0.02", "0.05"]}


def timed(command: str, folder: Path) -> float:
    """Returns the seconds that a command takes."""
    began = time.perf_counter()
    whole = [sys.executable, "-m", "ddpg_jax", *shlex.split(command), "--out", str(folder), "--overwrite"]
    own_cache = os.environ | {"XDG_CACHE_HOME": str(folder.parent / "cache")}  # so that the first run compiles
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, env=own_cache)
    return time.perf_counter() - began


def main() -> None:
    """Measures both and copies the tables of the sweep."""
    grid = " ".join(f"--grid {name} {' '.join(values)}" for name, values in GRID.items())
    sweep = f"sweep {COMMON} {grid}"
    trials = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    trains = [f"train {COMMON} " + " ".join(f"--{name} {value}" for name, value in trial.items()) for trial in trials]
    folder = Path(tempfile.mkdtemp())
    first = timed(sweep, folder / "sweep")
    again = timed(sweep, folder / "sweep")
    timed(trains[0], folder / "run")
    one_by_one = sum(timed(command, folder / "run") for command in trains)
    for name in ("sweep.csv", "sweep.png"):
        shutil.copy(folder / "sweep" / name, RESULTS / name)
    device = json.loads((folder / "sweep" / "config.json").read_text(encoding="utf-8"))
    result = {
        "command": f"ddpg-jax {sweep}",
        "agents": 4 * len(trials),
        "first_s": round(first, 1),
        "again_s": round(again, 1),
        "one_command_each_s": round(one_by_one, 1),
        "device": device["device"],
        "versions": device["versions"],
    }
    print(result)
    (RESULTS / "sweep.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
