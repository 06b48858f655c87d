"""Searches settings of an algorithm on a task with `sweep` and writes benchmarks/results/tuning/TASK--ALGORITHM.json.

    python benchmarks/tune.py --tasks pendulum --methods ddpg td3 sac

The first setting is the defaults, the others are drawn at random from SPACE; every other one has layer norm. Half of
them are stopped in the middle of the run (successive halving). The best is chosen by the interquartile mean of its last
evaluations over three seeds that `learning.py` does not use, and becomes `--preset best` of the algorithm on the task,
in ddpg_jax/runs/tuned.json; `learning.py --methods METHOD:best` then evaluates it on other seeds.

Each task and algorithm has draws of its own. The searches on file were made before with one seed for all, so that the
settings which algorithms share were tried at the same values.
"""

import argparse
import json
import shlex
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

from ddpg_jax import LoopConfig, Range, RunConfig, sampled, sweep
from ddpg_jax.core.settings import INT32
from ddpg_jax.devices.backend import prepare
from ddpg_jax.runs.registry import algorithms

sys.path.insert(0, str(Path(__file__).parent))
from tasks import CPU_TASKS, LEAGUE

RESULTS = Path(__file__).parent / "results" / "tuning"
PRESETS = Path(__file__).parents[1] / "ddpg_jax" / "runs" / "tuned.json"
SEEDS, FIRST_SEED = 3, 1000
NOISE = {"noise_scale": Range("log", 0.05, 0.8)}
SPACE = {
    "actor_lr": Range("log", 1e-4, 3e-3),
    "critic_lr": Range("log", 1e-4, 3e-3),
    "tau": Range("log", 2e-3, 5e-2),
    "discount": Range("uniform", 0.95, 0.995),
    "reward_scale": Range("log", 0.03, 3.0),
}
OF = {
    "ddpg": NOISE,
    "td3": NOISE | {"target_noise": Range("uniform", 0.0, 0.4)},
    "sac": {"temperature_lr": Range("log", 1e-4, 3e-3), "target_entropy": Range("uniform", -3.0, 0.0)},
}
NORMS = ("none", "layer")  # alternating, from that of the defaults
FIXED = {"mountain-car": {"noise": "pink"}}  # uncorrelated noise does not climb the hill
WIDER = {"mountain-car": {"noise_scale": Range("log", 0.2, 0.8)}}  # nor does a little of any noise


def flags_of(task: str) -> dict[str, str]:
    """Returns the flags of a task as name -> value, with the widths joined by a comma."""
    words = shlex.split(CPU_TASKS[task].replace("--hidden 64 64", "--hidden 64,64"))
    return {
        flag.removeprefix("--").replace("-", "_"): value for flag, value in zip(words[::2], words[1::2], strict=True)
    }


def groups_of(task: str, **settings: Any) -> tuple[LoopConfig, RunConfig]:
    """Returns the settings of the loop and of the run of a sweep on a task; `settings` are further ones of the run."""
    flags = flags_of(task)
    envs = {name: int(flags[name]) for name in ("num_envs", "updates_per_step") if name in flags}
    run = RunConfig(
        env=flags["env"],
        steps=int(flags["steps"]),
        seeds=SEEDS,
        out=Path(tempfile.mkdtemp()) / "sweep",
        backend=flags.get("backend"),
        episode_length=int(flags["episode_length"]) if "episode_length" in flags else None,
        **{"evaluations": int(flags.get("evaluations", 10)), "eval_episodes": int(flags.get("eval_episodes", 16))}
        | settings,
    )
    return LoopConfig(batch_size=64, replay_capacity=100_000, **envs), run


def brief(value: Any) -> Any:
    """Rounds a number to the digits that a search among a dozen settings can resolve."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def search(task: str, method: str, draws: int) -> dict[str, Any]:
    """Sweeps one algorithm on one task and returns all trials, the best first."""
    kind = algorithms()[method].config
    fixed = FIXED.get(task, {})
    config = kind(hidden=(64, 64), **fixed)
    space = SPACE | OF[method] | {name: ends for name, ends in WIDER.get(task, {}).items() if name in OF[method]}
    drawn = sampled(draws - 1, space, seed=zlib.crc32(f"{task} {method}".encode()) & INT32)
    trials = [{name: getattr(config, name) for name in space}, *drawn]
    norms = (config.norm, *(norm for norm in NORMS if norm != config.norm))
    trials = [trial | {"norm": norms[at % 2]} for at, trial in enumerate(trials)]
    loop, run = groups_of(task, seed=FIRST_SEED)
    began = time.perf_counter()
    result = sweep(method, trials, config, loop, run, halving=1)
    if result.best is None:
        raise SystemExit(f"{task}, {method}: a seed of every trial diverged")
    return {
        "command": f"python benchmarks/tune.py --tasks {task} --methods {method} --draws {draws}",
        "env": run.env,
        "steps": run.steps,
        "seeds": SEEDS,
        "fixed": fixed,
        "seconds": round(time.perf_counter() - began, 1),
        "best": {name: brief(value) for name, value in result.best.items()} | fixed,
        "table": result.table,
    }


def keep_preset(method: str, env: str, best: dict[str, Any]) -> None:
    """Makes settings the `--preset best` of an algorithm in an environment; the others stay as they are."""
    presets = json.loads(PRESETS.read_text(encoding="utf-8"))
    presets.setdefault(method, {})[env] = best
    PRESETS.write_text(json.dumps(presets, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Searches settings for every task and method that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tasks", nargs="+", choices=CPU_TASKS, default=list(CPU_TASKS), metavar="TASK", help="by default all"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=LEAGUE, default=list(LEAGUE), metavar="METHOD", help="by default all"
    )
    parser.add_argument("--draws", type=int, default=12, help="settings to try, including the defaults")
    parser.add_argument("--again", action="store_true", help="repeat what has a file")
    chosen = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    prepare(SEEDS * chosen.draws)
    for task in chosen.tasks:
        for method in chosen.methods:
            path = RESULTS / f"{task}--{method}.json"
            if chosen.again or not path.exists():
                found = search(task, method, chosen.draws)
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                keep_preset(method, found["env"], found["best"])
                print(path.stem, found["best"], found["table"][0]["iqm"], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
