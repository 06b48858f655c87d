"""Trains with one setting wrong at a time and writes what the diagnostics then say: results/diagnosis.json.

    python benchmarks/diagnosis.py                    # about ten minutes on two cores
    python benchmarks/diagnosis.py --only fast-actor  # again

Of every case it keeps the interquartile mean over seeds of the last evaluation's diagnostics, with the command. The
table in docs/how_to_learn.md is made of it by readme.py.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.cli.main import main as ddpg_jax
from ddpg_jax.runs import metrics
from ddpg_jax.runs.statistics import interval, iqm
from ddpg_jax.runs.stored_run import read_run

FILE = Path(__file__).parent / "results" / "diagnosis.json"
SEEDS = 4
SIGNS = ("eval_q", "eval_discounted", "eval_saturation", "critic/grad_norm", "actor/grad_norm", "critic/loss")
SMALL = "--hidden 64 64 --batch-size 64"
PENDULUM = f"ddpg --env Pendulum-v1 --steps 20000 {SMALL}"
CAR = f"ddpg --env MountainCarContinuous-v0 --steps 50000 {SMALL}"


class Case(NamedTuple):
    """A run: what is wrong with it, and the command without the seeds."""

    what: str
    command: str


CASES = {
    "sound": Case("nothing", PENDULUM),
    "fast-actor": Case("the actor learns too fast", f"{PENDULUM} --actor-lr 0.03"),
    "large-rewards": Case("rewards are too large", f"{PENDULUM} --reward-scale 1000"),
    "fast-critic": Case("the critic learns too fast", f"{PENDULUM} --critic-lr 0.1"),
    "no-targets": Case("targets follow at once", f"{PENDULUM} --tau 1.0 --critic-lr 0.01"),
    "short-horizon": Case("the discount is too small", f"{PENDULUM} --discount 0.5"),
    "few-updates": Case("too few updates", f"{PENDULUM} --num-envs 64"),
    "updates": Case("the same with an update per transition", f"{PENDULUM} --num-envs 64 --updates-per-step 64"),
    "no-success": Case("success is never seen", f"{CAR} --noise gaussian --noise-scale 0.1"),
    "success": Case("the same with pink noise", f"{CAR} --noise pink --noise-scale 0.4"),
}


def measure(case: Case) -> dict[str, Any]:
    """Trains a case and returns its last diagnostics, interquartile means over seeds, and its return."""
    folder = Path(tempfile.mkdtemp()) / "run"
    words = ["train", *shlex.split(case.command), "--seeds", str(SEEDS), "--no-tensorboard", "--out", str(folder)]
    if ddpg_jax(words):
        raise SystemExit(f"{case.command}: training failed")
    rows = metrics.read_rows(folder / "metrics.jsonl", SEEDS)
    last, stored = rows[-1], read_run(folder)
    worst = np.nanmin([row["eval_return"] for row in rows])
    return {
        "command": f"ddpg-jax train {case.command} --seeds {SEEDS}",
        "return": interval(np.nan_to_num(np.array(last["eval_return"], float), nan=worst))._asdict(),
        "untrained": float(np.mean(rows[0]["eval_return"])),
        **{sign: float(iqm(np.array(last[sign], float))) for sign in SIGNS},
        "device": stored.device,
        "versions": stored.versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    found = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for name in parser.parse_args().only:
        found[name] = measure(CASES[name])
        FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(name, found[name]["return"], {sign: found[name][sign] for sign in SIGNS}, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
