"""Measures learning on the tasks and methods of tasks.py, with a JSON file each in benchmarks/results/learning/.

    python benchmarks/learning.py --suite smoke                # two minutes
    python benchmarks/learning.py --suite cpu                  # ddpg, td3, sac with default and tuned settings; hours
    python benchmarks/learning.py --suite older                # the older algorithms
    python benchmarks/learning.py --suite even                 # equal settings for us and other libraries
    python benchmarks/learning.py --suite own                  # everything at its own defaults, ours and others'
    python benchmarks/learning.py --suite defaults             # candidates for defaults, on tasks not searched
    python benchmarks/learning.py --suite confirm              # the new defaults and those before on three more tasks
    python benchmarks/learning.py --suite networks             # quantile critics, residual blocks
    python benchmarks/learning.py --suite crossing             # policies of Brax's mjx, played in MuJoCo by Gymnasium
    python benchmarks/learning.py --suite locomotion --minutes 60   # 300,000 steps, networks of 256-256; many hours
    python benchmarks/learning.py --suite gpu --minutes 9.5    # stops then; the same command resumes
    python benchmarks/learning.py --suite cpu --tasks pendulum lqr --methods td3
    python benchmarks/learning.py --presets lecture pixels     # presets instead of a suite

A task and method that have a file are skipped unless `--again` is given. Each file holds the command, the learning
curve, the deterministic returns of every seed's final policy on new episodes and of its best evaluation during
training, their interquartile means with a 95% bootstrap interval over seeds, wall-clock times, device and versions.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.cli.main import main as ddpg_jax
from ddpg_jax.deploy.evaluate import evaluate_gymnasium, evaluate_run
from ddpg_jax.runs import metrics
from ddpg_jax.runs.checkpoint import saved_steps
from ddpg_jax.runs.presets import tuned
from ddpg_jax.runs.statistics import interval
from ddpg_jax.runs.stored_run import read_run

sys.path.insert(0, str(Path(__file__).parent))
from figures import filled
from tasks import APART, EVEN, GYMNASIUM, METHODS, OWN_TASKS, PAIRS, PEERS, PRESET_RUNS, SUITES, TASKS, Peer, option

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "learning"
UNFINISHED = HERE / "results" / "unfinished"  # run folders that a later call resumes
EPISODES, STARTS = 128, 12345
CROSSED = 32  # episodes in Gymnasium, which are played one after another
STOPPED, DIVERGED = 75, 4  # the exit codes of a run that was stopped on request, and of one whose seeds all diverged


def summary(values: Any, worst: float) -> dict[str, Any]:
    """Returns the interquartile mean over seeds with its interval; seeds that diverged get the worst return."""
    numbers = np.array(values, float)
    return interval(np.where(np.isfinite(numbers), numbers, worst))._asdict() | {"seeds": len(numbers)}


def summaries(rows: list[dict[str, Any]], curve: Any) -> dict[str, Any]:
    """Summarizes the final policies, and the best evaluation of each seed during training."""
    returns = filled(curve)  # [T, S]
    worst = float(returns.min())
    best = returns.max(axis=0)
    return {"final": summary([row["mean"] for row in rows], worst), "best": summary(best, worst)}


def flags_of(method: str, task: str) -> str:
    """Returns the flags of `ddpg-jax train` for a method on a task."""
    algorithm = method.split(":")[0]
    return " ".join(filter(None, [algorithm, TASKS[task], METHODS[method], PAIRS.get((method, task), "")]))


def measure(flags: str, seeds: int, name: str, gymnasium: str | None = None) -> dict[str, Any] | None:
    """Trains through the command line and evaluates on new episodes; returns None if it was stopped on request.

    Args:
      flags, seeds, name: what to train, how often, and the name of the result.
      gymnasium: id of a Gymnasium environment on which the policies are evaluated, too.
    """
    folder = UNFINISHED / f"{name}-{zlib.crc32(f'{flags} {seeds}'.encode()):08x}"  # other flags get another folder
    begun = bool(saved_steps(folder))
    if not (begun and finished(folder)):  # a finished run was interrupted during its evaluation
        begin = f"train {flags} --seeds {seeds} --overwrite --no-tensorboard --out {folder}"
        code = ddpg_jax(["train", "--resume", str(folder)] if begun else shlex.split(begin))
        if code == STOPPED:
            return None
        if code not in (0, DIVERGED):
            raise SystemExit(f"{flags}: training failed")
    rows = evaluate_run(folder, EPISODES, STARTS)["seeds"]
    stored = read_run(folder)
    curve = metrics.read_rows(folder / "metrics.jsonl", seeds)
    for row, last in zip(rows, curve[-1]["eval_return"], strict=True):
        row["mean"] = row["mean"] if last is not None else None  # a frozen policy's returns are not those of the method
    elsewhere = {gymnasium: evaluate_gymnasium(folder, gymnasium, CROSSED, STARTS)["seeds"]} if gymnasium else {}
    shutil.rmtree(folder)
    return {
        "command": f"ddpg-jax train {flags} --seeds {seeds}",
        "seconds": round(curve[-1]["seconds"], 1),
        "episodes": EPISODES,
        **summaries(rows, [row["eval_return"] for row in curve]),
        "seeds": rows,
        "curve": {key: [row[key] for row in curve] for key in ("steps", "updates", "seconds", "eval_return")},
        **({"gymnasium": elsewhere} if elsewhere else {}),
        "device": stored.device,
        "versions": stored.versions,
    }


def finished(folder: Path) -> bool:
    """Returns whether the newest checkpoint of a run is its last."""
    stored = read_run(folder)
    return saved_steps(folder)[-1] * stored.loop.num_envs >= stored.run.steps


def measure_apart(flags: str, seeds: int, name: str) -> dict[str, Any] | None:
    """Trains and evaluates each seed in a run of its own; the result holds all seeds."""
    runs = []
    for seed in range(seeds):
        run = measure(f"{flags} --seed {seed}", 1, f"{name}-{seed}")
        if run is None:
            return None
        runs.append(run)
    return joined(runs, f"ddpg-jax train {flags} --seed N")


def joined(runs: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """Joins the results of several runs with different seeds."""
    rows = [row for run in runs for row in run["seeds"]]
    returns = np.concatenate([np.array(run["curve"]["eval_return"], float) for run in runs], axis=1)
    return runs[0] | {
        "command": command,
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        **summaries(rows, returns),
        "seeds": rows,
        "curve": runs[0]["curve"] | {"eval_return": returns.tolist()},
    }


def measure_peer(peer: Peer, algorithm: str, task: str, seeds: int) -> dict[str, Any]:
    """Trains another library with the same budget, one seed per core at a time where it cannot train several.

    In the tasks of `OWN_TASKS` it has its own settings, in all others those of `EVEN`.
    """
    config = ({"own_defaults": True} if task in OWN_TASKS else EVEN) | {
        "algorithm": algorithm,
        "env": peer.env,
        "num_envs": int(option(task, "--num-envs", "1")),
        "steps": int(option(task, "--steps")),
        "evaluations": int(option(task, "--evaluations", "20")),
        "episodes": int(option(task, "--eval-episodes", "32")),
        "final_episodes": EPISODES,
        **({"backend": peer.backend} if peer.backend else {}),
    }
    groups = [list(range(seeds))] if peer.together else [[seed] for seed in range(seeds)]
    cores = sorted(os.sched_getaffinity(0))
    at_once = 1 if peer.together else len(cores)
    pins = [cores if peer.together else [cores[place % len(cores)]] for place in range(len(groups))]
    with ThreadPoolExecutor(at_once) as pool:
        runs = list(pool.map(lambda group, pin: run_peer(peer, config | {"seeds": group}, pin), groups, pins))
    return joined(runs, f"benchmarks/peers/{peer.name}/learn.py with {json.dumps(config)}")


def run_peer(peer: Peer, config: dict[str, Any], cores: list[int]) -> dict[str, Any]:
    """Runs one process of another library, from its start to its final evaluation.

    Raises:
      SystemExit: The process ended with an error.
    """
    python = HERE / "peers" / ".venv" / peer.name / "bin" / "python"
    script = HERE / "peers" / peer.name / "learn.py"
    pinned = ["taskset", "-c", ",".join(map(str, cores))]
    words = [*pinned, str(python), str(script), json.dumps(config)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = [json.loads(line) for line in process.stdout or () if line.startswith("{")]
    process.wait()
    if not lines or "done" not in lines[-1]:
        raise SystemExit(f"{peer.name}: {lines[-1] if lines else 'no answer'}")
    last = lines.pop()
    curve = {key: [line[key] for line in lines] for key in ("steps", "seconds", "eval_return")}
    rows = [{"seed": seed, "mean": mean} for seed, mean in zip(config["seeds"], last["final"], strict=True)]
    return {
        "seconds": last["seconds"],
        "episodes": last["episodes"],
        "seeds": rows,
        "curve": curve,
        "device": f"cpu, {len(cores)} core(s)",
        "versions": last["versions"],
        "settings": last["settings"],
    }


def stop_after(minutes: float | None) -> None:
    """Sends SIGTERM to this process after some minutes, as a cluster does, so that a checkpoint is saved."""
    if minutes is not None:
        timer = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()


def pairs_of(suite: str, tasks: list[str] | None, methods: list[str] | None) -> Iterator[tuple[str, str]]:
    """Yields the (task, method) pairs of a suite that are requested.

    Tuned methods are included where a tuned preset exists, "even" ones where another library has the algorithm, too.
    """
    for task in SUITES[suite].tasks:
        for method in SUITES[suite].methods:
            requested = (tasks is None or task in tasks) and (methods is None or method in methods)
            algorithm, _, variant = method.partition(":")
            tuning, others = bool(tuned(algorithm, option(task, "--env"))), bool(peers_of(task, algorithm))
            exists = {"best": tuning, "even": others}
            if requested and exists.get(variant, True):
                yield task, method


def peers_of(task: str, algorithm: str) -> list[Peer]:
    """Returns the other libraries that have this algorithm on this task."""
    return [peer for peer in PEERS.get(task, ()) if algorithm in peer.algorithms]


def work_of(chosen: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Yields names of results and the functions that measure them."""
    if chosen.presets:
        for name in chosen.presets:
            way = measure_apart if name in APART else measure
            yield f"preset-{name}", lambda name, preset=name, way=way: way(PRESET_RUNS[preset], chosen.seeds or 3, name)
        return
    seeds = chosen.seeds or SUITES[chosen.suite].seeds
    for task, method in pairs_of(chosen.suite, chosen.tasks, chosen.methods):
        flags = flags_of(method, task)
        other = GYMNASIUM.get(task)
        make = lambda name, flags=flags, other=other: measure(flags, seeds, name, other)  # noqa: E731
        yield f"{task}--{method.replace(':', '-')}", make
        algorithm = method.split(":")[0]
        for peer in peers_of(task, algorithm):
            make = lambda _, peer=peer, algorithm=algorithm, task=task: measure_peer(peer, algorithm, task, seeds)  # noqa: E731
            yield f"{task}--{peer.name}-{algorithm}", make


def main(args: list[str] | None = None) -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES, default="cpu", help="tasks and methods, as in tasks.py")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="TASK", help="only these tasks")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help="only these methods")
    parser.add_argument(
        "--presets", nargs="+", choices=PRESET_RUNS, default=[], metavar="PRESET", help="instead of a suite"
    )
    parser.add_argument("--seeds", type=int, help="number of seeds; by default that of the suite")
    parser.add_argument("--again", action="store_true", help="repeat what has a file")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes; the same command resumes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    chosen = parser.parse_args(args)
    stop_after(chosen.minutes)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, make in work_of(chosen):
        path = chosen.out / f"{name}.json"
        if path.exists() and not chosen.again:
            continue
        began = time.perf_counter()
        result = make(name)
        if result is None:
            raise SystemExit(STOPPED)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, result["final"], f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
