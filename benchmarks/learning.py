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
    python benchmarks/learning.py --suite gpu --minutes 9.5    # exits with 75 then; the same command resumes
    python benchmarks/learning.py --suite cpu --tasks pendulum lqr --methods td3
    python benchmarks/learning.py --presets lecture pixels     # presets instead of a suite

A task and method that have a file are skipped unless `--again` is given. Each file holds the command, the settings that
it resolved to, the learning curve, the deterministic returns of every seed's final policy on new episodes and of its
best evaluation during training, their interquartile means with a 95% bootstrap interval over seeds, wall-clock times,
device, versions and commit. A run that was begun with other defaults is not resumed, and other libraries begin anew.
"""

import argparse
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_jax.cli.console import print_error
from ddpg_jax.cli.main import main as ddpg_jax
from ddpg_jax.cli.settings import read_settings
from ddpg_jax.deploy.evaluate import evaluate_gymnasium, evaluate_run
from ddpg_jax.runs import metrics
from ddpg_jax.runs.checkpoint import saved_steps
from ddpg_jax.runs.files import atomic_write
from ddpg_jax.runs.named import name_algorithm
from ddpg_jax.runs.presets import tuned
from ddpg_jax.runs.run_folder import differences
from ddpg_jax.runs.signals import Stop, undone_at_once
from ddpg_jax.runs.statistics import interval
from ddpg_jax.runs.stored_run import read_run

sys.path.insert(0, str(Path(__file__).parent))
from figures import filled
from on_device.facts import commit
from tasks import APART, EVEN, GYMNASIUM, METHODS, OWN_TASKS, PAIRS, PEERS, PRESET_RUNS, SUITES, TASKS, Peer, option

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "learning"
UNFINISHED = HERE / "results" / "unfinished"  # run folders that a later call resumes, and results of seeds apart
TRAIN = "ddpg-jax train "
GROUPS = ("run", "loop", "config")  # of settings
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


def settings_of(flags: str) -> dict[str, Any]:
    """Returns the settings that flags of `ddpg-jax train` resolve to, with the defaults of today, as plain JSON.

    Raises:
      SettingError: the flags cannot be read.
    """
    algorithm, *words = shlex.split(flags)
    read = read_settings(TRAIN + algorithm, name_algorithm(algorithm), words)
    groups = {group: vars(getattr(read, group)) for group in GROUPS}
    return json.loads(json.dumps({"algorithm": algorithm, **without_folder(groups)}))


def without_folder(groups: dict[str, Any]) -> dict[str, Any]:
    """Returns the groups of settings of a run without its folder, which is a path on one machine."""
    return groups | {"run": {name: value for name, value in groups["run"].items() if name != "out"}}


def outdated(result: dict[str, Any]) -> str:
    """Returns how the settings of a result differ from those that its command has today, in words; "" if they do not.

    Results of other libraries and those without settings are not looked at. A setting that there was not yet is left
    out, since a new one is meant to change nothing by default.
    """
    before = result.get("settings")
    if before is None or not result["command"].startswith(TRAIN):
        return ""
    now = settings_of(result["command"].removeprefix(TRAIN).replace("--seed N", "--seed 0"))
    known = {group: {name: value for name, value in now[group].items() if name in before[group]} for group in GROUPS}
    return differences(before, now | known)


def folder_of(flags: str, seeds: int, name: str) -> Path:
    """Returns where a run is trained; other settings, be it by another default, get another folder."""
    settings = json.dumps(settings_of(f"{flags} --seeds {seeds}"), sort_keys=True)
    return UNFINISHED / f"{name}-{zlib.crc32(settings.encode()):08x}"


def delete_unfinished(name: str) -> None:
    """Deletes what is unfinished of a result: folders of its runs, and the results of seeds that were trained apart."""
    for path in UNFINISHED.glob(f"{name}-*"):
        if re.fullmatch(r"(-\d+)?-[0-9a-f]{8}", path.name.removeprefix(name).removesuffix(".json")):
            path.unlink() if path.is_file() else shutil.rmtree(path)


def measure(flags: str, seeds: int, name: str, gymnasium: str | None = None) -> dict[str, Any] | None:
    """Trains through the command line and evaluates on new episodes; returns None if it was stopped on request.

    Args:
      flags, seeds, name: what to train, how often, and the name of the result.
      gymnasium: id of a Gymnasium environment on which the policies are evaluated, too.
    """
    folder = folder_of(flags, seeds, name)
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
        "command": f"{TRAIN}{flags} --seeds {seeds}",
        "settings": without_folder({group: stored.contents[group] for group in ("algorithm", *GROUPS)}),
        "seconds": round(curve[-1]["seconds"], 1),
        "episodes": EPISODES,
        **summaries(rows, [row["eval_return"] for row in curve]),
        "seeds": rows,
        "curve": {key: [row[key] for row in curve] for key in ("steps", "updates", "seconds", "eval_return")},
        "saturation": curve[-1]["eval_saturation"],
        **({"gymnasium": elsewhere} if elsewhere else {}),
        "device": stored.device,
        "versions": stored.versions,
    }


def finished(folder: Path) -> bool:
    """Returns whether the newest checkpoint of a run is its last."""
    stored = read_run(folder)
    return saved_steps(folder)[-1] * stored.loop.num_envs >= stored.run.steps


def measure_apart(flags: str, seeds: int, name: str) -> dict[str, Any] | None:
    """Trains and evaluates each seed in a run of its own; the result holds all seeds.

    The result of a seed is kept in a file until all are there; returns None if a seed was stopped on request.
    """
    alone = {f"{name}-{seed}": f"{flags} --seed {seed}" for seed in range(seeds)}
    files = {part: folder_of(alone[part], 1, part).with_suffix(".json") for part in alone}
    for part, file in files.items():
        if not file.exists():
            run = measure(alone[part], 1, part)
            if run is None:
                return None
            write(file, run)
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files.values()]
    result = joined(runs, f"{TRAIN}{flags} --seed N")
    for file in files.values():
        file.unlink()
    return result


def write(path: Path, result: dict[str, Any]) -> None:
    """Writes a result, whole or not at all."""
    atomic_write(path, (json.dumps(result, indent=1) + "\n").encode())


def joined(runs: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """Joins the results of several runs with different seeds; the curve of one that diverged is filled up with None.

    Other libraries do not report how many of their actions are saturated.
    """
    rows = [row for run in runs for row in run["seeds"]]
    longest = max((run["curve"] for run in runs), key=lambda curve: len(curve["eval_return"]))
    length = len(longest["eval_return"])
    curves = [run["curve"]["eval_return"] for run in runs]
    padded = [curve + [[None] * len(curve[0])] * (length - len(curve)) for curve in curves]
    returns = [list(itertools.chain(*values)) for values in zip(*padded, strict=True)]
    saturations = [run["saturation"] for run in runs if "saturation" in run]
    return runs[0] | {
        "command": command,
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        **summaries(rows, returns),
        "seeds": rows,
        "curve": longest | {"eval_return": returns},
        **({"saturation": list(itertools.chain(*saturations))} if saturations else {}),
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
    with undone_at_once(process.terminate):
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


def exit_stopped() -> None:
    """Ends the process where a signal ends it at once, as before the first update and outside of training."""
    try:
        print_error("stopped; what is unfinished is kept")
    finally:
        os._exit(STOPPED)


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


def work_of(chosen: argparse.Namespace) -> dict[str, Callable[[str], dict[str, Any] | None]]:
    """Returns names of results and the functions that measure them; several methods may ask for one of another library.

    A function takes the name and returns the result, or None if it was stopped on request.
    """
    if chosen.presets:
        ways = {name: measure_apart if name in APART else measure for name in chosen.presets}
        return {
            f"preset-{preset}": lambda name, preset=preset, way=way: way(PRESET_RUNS[preset], chosen.seeds or 3, name)
            for preset, way in ways.items()
        }
    found: dict[str, Callable[[str], dict[str, Any] | None]] = {}
    seeds = chosen.seeds or SUITES[chosen.suite].seeds
    for task, method in pairs_of(chosen.suite, chosen.tasks, chosen.methods):
        flags = flags_of(method, task)
        other = GYMNASIUM.get(task)
        make = lambda name, flags=flags, other=other: measure(flags, seeds, name, other)  # noqa: E731
        found[f"{task}--{method.replace(':', '-')}"] = make
        algorithm = method.split(":")[0]
        for peer in peers_of(task, algorithm):
            make = lambda _, peer=peer, algorithm=algorithm, task=task: measure_peer(peer, algorithm, task, seeds)  # noqa: E731
            found[f"{task}--{peer.name}-{algorithm}"] = make
    return found


def measure_into(path: Path, make: Callable[[str], dict[str, Any] | None], again: bool) -> None:
    """Measures one result and writes its file, unless there is one.

    Raises:
      SystemExit: the measurement was stopped on request.
    """
    if path.exists() and not again:
        return
    if again:
        delete_unfinished(path.stem)
    began = time.perf_counter()
    result = make(path.stem)
    if result is None:
        raise SystemExit(STOPPED)
    write(path, result | {"commit": commit()})
    print(path.stem, result["final"], f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


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
    parser.add_argument(
        "--again", action="store_true", help="repeat what has a file; what is unfinished of it is deleted, not resumed"
    )
    parser.add_argument("--minutes", type=float, help="stop after so many minutes; the same command resumes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    chosen = parser.parse_args(args)
    work = work_of(chosen)
    if not work:
        parser.error(f"suite {chosen.suite} has none of these tasks and methods together")
    stop_after(chosen.minutes)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with Stop(print_error), undone_at_once(exit_stopped):
        for name, make in work.items():
            measure_into(chosen.out / f"{name}.json", make, chosen.again)


if __name__ == "__main__":
    main()
