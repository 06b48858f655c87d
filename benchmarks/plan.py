"""Compares the memory that a run is planned to take with what XLA assigns to its training program, on three devices.

    python benchmarks/plan.py                              # about half an hour on 2 cores
    python benchmarks/plan.py --targets cpu --envs Pendulum-v1

The programs for H100 and TPU v5e are compiled without the device (the extra `targets`, see "Accelerators that are not
here" in README.md), and nothing runs. Rows are written one by one to benchmarks/results/plan.json; those of other
devices and environments stay.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

from ddpg_jax.devices.targets import prepare_targets

RESULTS = Path(__file__).parent / "results" / "plan.json"
TARGETS = ("cpu", "h100", "v5e")
ENVS = ("Pendulum-v1", "brax/ant", "brax/humanoid", "pixels/Pendulum-v1")
SEEDS, CAPACITIES = (1, 64), (100_000, 1_000_000)
CASE = ("target", "env", "seeds", "capacity")


def measure(target: str, env: str, seeds: int, capacity: int) -> dict[str, Any]:
    """Returns the row of one run of DDPG with default settings, as long as it takes to fill its replay."""
    from ddpg_jax import DDPGConfig, LoopConfig, RunConfig
    from ddpg_jax.runs.compilation import compile_run

    loop, run = LoopConfig(replay_capacity=capacity), RunConfig(env=env, seeds=seeds, steps=capacity, devices=1)
    found = compile_run("ddpg", DDPGConfig(norm="none"), loop, run, target, ("chunk",))
    row = {"target": target, "env": env, "seeds": seeds, "capacity": capacity, "mapping": found.layout.mapping}
    row |= {"planned_bytes": found.planned_bytes, "fits": found.fits}
    if "chunk" in found.programs:
        chunk = found.programs["chunk"]
        row |= {"state_bytes": chunk.argument_bytes, "beside_bytes": chunk.temporary_bytes}
        row |= {"peak_bytes": chunk.peak_bytes, "ratio": found.planned_bytes / chunk.peak_bytes}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=TARGETS, choices=TARGETS)
    parser.add_argument("--envs", nargs="+", default=ENVS)
    parser.add_argument("--capacities", nargs="+", type=int, default=CAPACITIES)
    chosen = parser.parse_args()
    prepare_targets()
    cases = list(itertools.product(chosen.targets, chosen.envs, SEEDS, chosen.capacities))
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for case in cases:
        row = measure(*case)
        print(row, flush=True)
        rows = [old for old in rows if tuple(old[name] for name in CASE) != case] + [row]
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
