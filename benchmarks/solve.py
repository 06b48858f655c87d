"""Measures the seconds from the command line to a solved task, everything included, for us and other libraries.

    python benchmarks/solve.py            # 5 seeds of each; benchmarks/peers/README.md says how to install the others
    python benchmarks/solve.py --only "ddpg_jax ddpg" --seeds 3

A task is solved at the first evaluation whose mean return is at or above the goal. Each seed is a separate command. Our
compilation cache is empty for the first seed and holds the program for the others; the other libraries keep no cache.
Writes benchmarks/results/solve.json, which has of each contender the command that measured it. What is there now was
measured with 3 seeds on Pendulum-v1 and 2 on the inverted pendulum.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ddpg_jax.devices.backend import cores

sys.path.insert(0, str(Path(__file__).parent))
from tasks import EVEN

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "solve.json"
PENDULUM, CART = ("Pendulum-v1", -200.0), ("brax/inverted_pendulum", 900.0)
SWING = "--env Pendulum-v1 --hidden 64 64 --batch-size 64 --steps 20000 --evaluations 38 --replay-capacity 100000"
BALANCE = "--env brax/inverted_pendulum --hidden 64 64 --batch-size 64 --steps 51000 --evaluations 25"
BALANCE += " --backend generalized --eval-episodes 16 --replay-capacity 100000 --actor-lr 3e-4 --critic-lr 3e-4"
THERE = EVEN | {"num_envs": 1, "env": "Pendulum-v1", "steps": 20_000, "evaluations": 38}
THERE |= {"episodes": 32, "final_episodes": 1}
SLOWER = {"actor_lr": 3e-4, "critic_lr": 3e-4, "steps": 51_000, "evaluations": 25, "episodes": 16}


class Contender(NamedTuple):
    """A library on a task: a command of ours, or another library with its configuration."""

    name: str
    task: str
    goal: float
    command: str | None = None
    peer: str = ""
    config: Mapping[str, Any] = MappingProxyType({})


CONTENDERS = (
    Contender("ddpg_jax ddpg", *PENDULUM, f"train ddpg {SWING} --actor-lr 1e-3 --norm none"),
    Contender(
        "ddpg_jax d4pg, 1,024 environments",
        *PENDULUM,
        "train d4pg --preset parallel --env Pendulum-v1 --hidden 64 64 --reward-scale 0.05 --steps 800000 "
        "--evaluations 100",
    ),
    Contender("rejax td3", *PENDULUM, peer="rejax", config=THERE | {"algorithm": "td3"}),
    Contender("SBX ddpg", *PENDULUM, peer="sbx", config=THERE | {"algorithm": "ddpg"}),
    Contender("ddpg_jax td3", *CART, f"train td3 {BALANCE} --norm none"),
    Contender("ddpg_jax sac", *CART, f"train sac {BALANCE} --norm none --noise gaussian"),
    Contender(
        "Brax sac",
        *CART,
        peer="brax",
        config=THERE | SLOWER | {"algorithm": "sac", "env": "inverted_pendulum", "backend": "generalized"},
    ),
)


def solve(who: Contender, seed: int, cache: str) -> dict[str, Any]:
    """Starts the contender, waits until its evaluations reach the goal, and kills it."""
    with tempfile.TemporaryDirectory() as folder:
        out, began = Path(folder), time.time()
        process = started(who, seed, out, cache)
        row, ended = None, False
        while row is None and not ended:
            time.sleep(0.05)
            ended = process.poll() is not None
            row = first_at(who.goal, out / "run" / "metrics.jsonl")
        seconds = time.time() - began
        process.kill()
        process.wait()
    print(who.name, seed, round(seconds, 1), row and row["steps"], flush=True)
    return {"seed": seed, "seconds": round(seconds, 2) if row else None, "steps": row and row["steps"]}


def started(who: Contender, seed: int, out: Path, cache: str) -> subprocess.Popen:
    """Returns the started process, which writes its evaluations line by line to `out`/run/metrics.jsonl."""
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    if who.command:
        words = [sys.executable, "-m", "ddpg_jax", *shlex.split(who.command), "--seed", str(seed)]
        return subprocess.Popen([*words, "--out", str(out / "run")], env=environment, stdout=subprocess.DEVNULL)
    (out / "run").mkdir()
    python, script = HERE / "peers" / ".venv" / who.peer / "bin" / "python", HERE / "peers" / who.peer / "learn.py"
    with (out / "run" / "metrics.jsonl").open("w", encoding="utf-8") as lines:
        words = [str(python), str(script), json.dumps({**who.config, "seeds": [seed]})]
        return subprocess.Popen(words, env=environment, stdout=lines, stderr=subprocess.DEVNULL)


def first_at(goal: float, metrics: Path) -> dict[str, Any] | None:
    """Returns the first complete line whose evaluation reached the goal, or None."""
    lines = metrics.read_text(encoding="utf-8").split("\n")[:-1] if metrics.exists() else []
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    rows = (row for row in messages if row.get("eval_return", [None])[0] is not None)
    return next((row for row in rows if row["eval_return"][0] >= goal), None)


def main() -> None:
    """Measures every seed of every contender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=[who.name for who in CONTENDERS], metavar="NAME", help="only these contenders"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of each")
    options = parser.parse_args()
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if options.only and RESULTS.exists() else {}
    results = known.get("contenders", {})
    for who in CONTENDERS:
        if options.only and who.name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as cache:
            rows = [solve(who, seed, cache) for seed in range(options.seeds)]
        there = f"peers/{who.peer}/learn.py {json.dumps(dict(who.config))}"
        results[who.name] = {
            "measured by": f"python benchmarks/solve.py --only {shlex.quote(who.name)} --seeds {options.seeds}",
            "task": who.task,
            "goal": who.goal,
            "command": f"ddpg-jax {who.command}" if who.command else there,
            "seeds": rows,
        }
    in_order = {who.name: results[who.name] for who in CONTENDERS if who.name in results}
    result = {"cores": cores(), "contenders": in_order}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
