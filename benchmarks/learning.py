"""Does it learn? Suites of tasks and methods from tasks.py: a JSON file each under benchmarks/results/learning/.

    python benchmarks/learning.py --suite smoke                # two minutes
    python benchmarks/learning.py --suite cpu                  # ddpg, td3, sac, by default and tuned; hours
    python benchmarks/learning.py --suite family               # the older methods
    python benchmarks/learning.py --suite even                 # beside other libraries, in environments of their own
    python benchmarks/learning.py --suite gpu --minutes 9.5    # until then; the same command goes on
    python benchmarks/learning.py --suite cpu --tasks pendulum lqr --methods td3
    python benchmarks/learning.py --recipes lecture pixels     # recipes instead of a suite

A pair that has a file is left alone, but for `--again`. Each file holds the command, the learning curve, the
deterministic returns of every seed's final policy on fresh episodes and of its best evaluation on the way, their
interquartile means with a 95% bootstrap interval over seeds, wall-clock, device and versions.
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
from ddpg_jax.deploy.play import evaluate_run
from ddpg_jax.runs import metrics
from ddpg_jax.runs.checkpoint import saved_steps
from ddpg_jax.runs.presets import tuned
from ddpg_jax.runs.statistics import interval
from ddpg_jax.runs.stored_run import read_run

sys.path.insert(0, str(Path(__file__).parent))
from figures import filled
from tasks import APART, EVEN, METHODS, PAIRS, PEERS, RECIPES, SUITES, TASKS, Peer

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "learning"
UNFINISHED = HERE / "results" / "unfinished"  # run folders that a later call goes on with
EPISODES, STARTS = 128, 12345
AGAIN_LATER = 75  # the exit code of a run that was asked to stop


def summary(values: Any, worst: float) -> dict[str, Any]:
    """The interquartile mean over seeds with its interval; a seed that diverged counts with the worst return."""
    numbers = np.array(values, float)
    return interval(np.where(np.isfinite(numbers), numbers, worst))._asdict() | {"seeds": len(numbers)}


def summaries(rows: list[dict[str, Any]], curve: Any) -> dict[str, Any]:
    """Of the final policies, and of the best evaluation of each seed on the way."""
    returns = filled(curve)  # [T, S]
    worst = float(returns.min())
    best = returns.max(axis=0)
    return {"final": summary([row["mean"] for row in rows], worst), "best": summary(best, worst)}


def option(task: str, flag: str, default: str = "") -> str:
    """What a task's flags say of one of them."""
    words = TASKS[task].split()
    return words[words.index(flag) + 1] if flag in words else default


def flags_of(method: str, task: str) -> str:
    """The command line of a pair."""
    algorithm = method.split(":")[0]
    return " ".join(filter(None, [algorithm, TASKS[task], METHODS[method], PAIRS.get((method, task), "")]))


def measure(flags: str, seeds: int, name: str) -> dict[str, Any] | None:
    """Trains through the command line and evaluates on fresh episodes; None if it was asked to stop on the way."""
    folder = UNFINISHED / f"{name}-{zlib.crc32(f'{flags} {seeds}'.encode()):08x}"  # other flags begin anew
    begun = bool(saved_steps(folder))
    if not (begun and finished(folder)):  # one that is was cut off while it was evaluated
        begin = f"train {flags} --seeds {seeds} --overwrite --no-tensorboard --out {folder}"
        code = ddpg_jax(["train", "--resume", str(folder)] if begun else shlex.split(begin))
        if code == AGAIN_LATER:
            return None
        if code:
            raise SystemExit(f"{flags}: training failed")
    rows = evaluate_run(folder, EPISODES, STARTS)["seeds"]
    stored = read_run(folder)
    curve = metrics.read_rows(folder / "metrics.jsonl", seeds)
    shutil.rmtree(folder)
    return {
        "command": f"ddpg-jax train {flags} --seeds {seeds}",
        "seconds": round(curve[-1]["seconds"], 1),
        "episodes": EPISODES,
        **summaries(rows, [row["eval_return"] for row in curve]),
        "seeds": rows,
        "curve": {key: [row[key] for row in curve] for key in ("steps", "updates", "seconds", "eval_return")},
        "device": stored.device,
        "versions": stored.versions,
    }


def finished(folder: Path) -> bool:
    """Whether the newest checkpoint of a run is its end."""
    stored = read_run(folder)
    return saved_steps(folder)[-1] * stored.loop.num_envs >= stored.run.steps


def measure_apart(flags: str, seeds: int, name: str) -> dict[str, Any] | None:
    """The same, a run per seed; the file holds them together."""
    runs = []
    for seed in range(seeds):
        run = measure(f"{flags} --seed {seed}", 1, f"{name}-{seed}")
        if run is None:
            return None
        runs.append(run)
    return joined(runs, f"ddpg-jax train {flags} --seed N")


def joined(runs: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """One result of several, a seed or more each."""
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
    """Trains another library with the same budget; one seed per core at a time where it cannot train several."""
    config = EVEN | {
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
    """One process of another library, from its start to its final evaluation.

    Raises:
      SystemExit: it ended with an error.
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
    """Asks this process to stop, as a cluster does, which leaves a checkpoint."""
    if minutes is not None:
        timer = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()


def pairs_of(suite: str, tasks: list[str] | None, methods: list[str] | None) -> Iterator[tuple[str, str]]:
    """The pairs of a suite, or those among them that are asked for.

    A tuned one only where there is a tuned preset, an even one where another library has it, too.
    """
    for task in SUITES[suite].tasks:
        for method in SUITES[suite].methods:
            asked = (tasks is None or task in tasks) and (methods is None or method in methods)
            algorithm, _, variant = method.partition(":")
            there = {"best": bool(tuned(algorithm, option(task, "--env"))), "even": bool(beside(task, algorithm))}
            if asked and there.get(variant, True):
                yield task, method


def beside(task: str, algorithm: str) -> list[Peer]:
    """The other libraries that have this algorithm on this task."""
    return [peer for peer in PEERS.get(task, ()) if algorithm in peer.algorithms]


def work_of(chosen: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Names of results, and what makes each."""
    if chosen.recipes:
        for name in chosen.recipes:
            way = measure_apart if name in APART else measure
            yield f"recipe-{name}", lambda name, recipe=name, way=way: way(RECIPES[recipe], chosen.seeds or 3, name)
        return
    seeds = chosen.seeds or SUITES[chosen.suite].seeds
    for task, method in pairs_of(chosen.suite, chosen.tasks, chosen.methods):
        flags = flags_of(method, task)
        yield f"{task}--{method.replace(':', '-')}", lambda name, flags=flags: measure(flags, seeds, name)
        algorithm = method.split(":")[0]
        for peer in beside(task, algorithm):
            make = lambda _, peer=peer, algorithm=algorithm, task=task: measure_peer(peer, algorithm, task, seeds)  # noqa: E731
            yield f"{task}--{peer.name}-{algorithm}", make


def main(args: list[str] | None = None) -> None:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES, default="cpu")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="TASK")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=[], metavar="RECIPE")
    parser.add_argument("--seeds", type=int, help="by default what the suite says")
    parser.add_argument("--again", action="store_true", help="also what has a file")
    parser.add_argument("--minutes", type=float, help="stop then; the same command goes on")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the files go")
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
            raise SystemExit(AGAIN_LATER)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, result["final"], f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
