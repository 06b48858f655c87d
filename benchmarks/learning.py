"""Does it learn? Method x task, and recipes: a JSON file each under benchmarks/results/learning/.

    python benchmarks/learning.py                                   # every pair, 5 seeds
    python benchmarks/learning.py --tasks pendulum lqr --methods td3
    python benchmarks/learning.py --missing                         # only pairs that have no file yet
    python benchmarks/learning.py --recipes lecture pixels          # recipes instead of pairs

Each file holds the command, the learning curve, the deterministic returns of every seed's final policy on fresh
episodes and of its best evaluation on the way, their interquartile means with a 95% bootstrap interval over seeds,
wall-clock, device and versions.
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

from ddpg_jax import metrics
from ddpg_jax.cli import main as ddpg_jax
from ddpg_jax.experiment import evaluate_run
from ddpg_jax.run_folder import read_config
from ddpg_jax.statistics import interval

RESULTS = Path(__file__).parent / "results" / "learning"
SMALL = "--hidden 64 64 --batch-size 64"
BRAX = "--evaluations 10 --eval-episodes 16"  # episodes of 1000 steps: evaluation would take most of the time
TASKS = {  # what every method is given alike
    "pendulum": f"--env Pendulum-v1 --steps 30000 {SMALL}",
    "reacher-misc": f"--env Reacher-misc --steps 50000 {SMALL}",
    "mountain-car": f"--env MountainCarContinuous-v0 --steps 100000 {SMALL}",
    "inverted-pendulum": f"--env brax/inverted_pendulum --steps 50000 {BRAX} {SMALL}",
    "inverted-double-pendulum": f"--env brax/inverted_double_pendulum --steps 50000 {BRAX} {SMALL}",
    "lqr": f"--env lqr --episode-length 20 --steps 20000 {SMALL}",
}
DETERMINISTIC = ("ddpg", "td3", "dpg-off-policy", "dpg-on-policy", "copdac-q", "copdac-gq")
METHODS = {  # what a method is given on every task
    "ddpg": "",
    "td3": "",
    "sac": "",
    "dpg-off-policy": "",
    "dpg-on-policy": "",
    "copdac-q": "--reward-scale 0.1",
    "copdac-gq": "--reward-scale 0.1",
}
SLOW = "--actor-lr 3e-4 --critic-lr 3e-4"
PAIRS: dict[tuple[str, str], str] = {  # what a pair needs beside that
    **{(method, "mountain-car"): "--noise ou --noise-scale 0.3" for method in DETERMINISTIC},
    **{(method, f"inverted-{kind}pendulum"): SLOW for method in ("ddpg", "td3") for kind in ("", "double-")},
}
RECIPES = {  # the published forms, and DDPG from pixels
    "lillicrap2016": "ddpg --preset lillicrap2016 --env Pendulum-v1 --steps 30000 --replay-capacity 100000",
    "tutorial": "ddpg --preset tutorial --env Pendulum-v1 --steps 20000 --replay-capacity 100000",
    "lecture": "ddpg --preset lecture --env Pendulum-v1 --steps 20000 --batch-size 64 --replay-capacity 100000",
    # Before the critic knows what an action does, its drift alone drives the actor into saturation: hence a slow actor,
    # values that settle soon (a short horizon, fast targets) and noise that is wide at first.
    "pixels": "ddpg --preset lillicrap2016-pixels --steps 5000 --evaluations 10 --eval-episodes 8 --norm layer "
    "--batch-size 32 --final-scale 3e-3 --replay-capacity 5000 --warmup-steps 1000 --discount 0.9 --tau 0.05 "
    "--reward-scale 0.1 --actor-lr 3e-5 --weight-decay None --noise gaussian --noise-scale 1.0 --noise-final 0.1 "
    "--noise-steps 3000",
}
APART = {"pixels"}  # seeds one after another: under vmap, these convolutions take twice as long on a CPU
EPISODES = 128


def summary(values: Any) -> dict[str, Any]:
    """The interquartile mean over seeds with its interval."""
    return interval(values)._asdict() | {"seeds": len(values)}


def flags_of(method: str, task: str) -> str:
    """The command line of a pair."""
    return " ".join(filter(None, [method, TASKS[task], METHODS[method], PAIRS.get((method, task), "")]))


def measure(flags: str, seeds: int) -> dict[str, Any]:
    """Trains through the command line and evaluates on fresh episodes."""
    folder = Path(tempfile.mkdtemp()) / "run"
    began = time.perf_counter()
    if ddpg_jax(shlex.split(f"train {flags} --seeds {seeds} --out {folder}")):
        raise SystemExit(f"{flags}: training failed")
    seconds = time.perf_counter() - began
    rows = evaluate_run(folder, EPISODES, seed=12345)["seeds"]
    stored, curve = read_config(folder), metrics.read(folder)
    shutil.rmtree(folder.parent)
    return {
        "command": f"ddpg-jax train {flags} --seeds {seeds}",
        "seconds": round(seconds, 1),
        "episodes": EPISODES,
        "final": summary([row["mean"] for row in rows]),
        "best": summary(np.max([row["eval_return"] for row in curve], axis=0)),
        "seeds": rows,
        "curve": {key: [row[key] for row in curve] for key in ("steps", "updates", "seconds", "eval_return")},
        "device": stored["device"],
        "versions": stored["versions"],
    }


def measure_apart(flags: str, seeds: int) -> dict[str, Any]:
    """The same, a run per seed; the file holds them together."""
    runs = [measure(f"{flags} --seed {seed}", 1) for seed in range(seeds)]
    rows = [run["seeds"][0] for run in runs]
    returns = np.concatenate([run["curve"]["eval_return"] for run in runs], axis=1)
    return runs[0] | {
        "command": f"ddpg-jax train {flags} --seed N",
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "final": summary([row["mean"] for row in rows]),
        "best": summary(returns.max(axis=0)),
        "seeds": rows,
        "curve": runs[0]["curve"] | {"eval_return": returns.tolist()},
    }


def main() -> None:
    """Runs the pairs that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=[], metavar="RECIPE")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--missing", action="store_true", help="leave alone what has a file")
    chosen = parser.parse_args()
    pairs = [] if chosen.recipes else [(task, method) for task in chosen.tasks for method in chosen.methods]
    work = {f"{task}--{method}": flags_of(method, task) for task, method in pairs}
    work |= {f"recipe-{name}": RECIPES[name] for name in chosen.recipes}
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, flags in work.items():
        path = RESULTS / f"{name}.json"
        if chosen.missing and path.exists():
            continue
        apart = name.removeprefix("recipe-") in APART
        result = measure_apart(flags, chosen.seeds) if apart else measure(flags, chosen.seeds)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, result["final"], f"{result['seconds']} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
