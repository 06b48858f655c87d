"""Compares the memory that a run is planned to take with what XLA assigns to its training program, on three devices.

    python benchmarks/plan.py                              # about half an hour on 2 cores
    python benchmarks/plan.py --targets cpu --envs Pendulum-v1

The programs for H100 and TPU v5e are compiled without the device (the extra `targets`, see "Accelerators that are not
here" in README.md), and nothing runs. A run whose state alone is larger than the device is not compiled. Rows are
written one by one to benchmarks/results/plan.json; those of other devices and environments stay.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

from ddpg_jax.devices import targets

RESULTS = Path(__file__).parent / "results" / "plan.json"
TARGETS = ("cpu", "h100", "v5e")
ENVS = ("Pendulum-v1", "brax/ant", "brax/humanoid", "pixels/Pendulum-v1")
SEEDS, CAPACITIES = (1, 64), (100_000, 1_000_000)


def measure(target: str, env: str, seeds: int, capacity: int) -> dict[str, Any]:
    """Returns the row of one run of DDPG with default settings."""
    from ddpg_jax import DDPGConfig, LoopConfig, RunConfig
    from ddpg_jax.runs.compilation import compile_run

    loop, run = LoopConfig(replay_capacity=capacity), RunConfig(env=env, seeds=seeds, devices=1)
    found = compile_run("ddpg", DDPGConfig(), loop, run, target, ("chunk",), only_if_state_fits=True)
    row = {"target": target, "env": env, "seeds": seeds, "capacity": capacity, "mapping": found.layout.mapping}
    row |= {"planned_bytes": found.planned_bytes, "fits": found.fits}
    if "chunk" in found.programs:
        chunk = found.programs["chunk"]
        row |= {"state_bytes": chunk.argument_bytes, "beside_bytes": chunk.temporary_bytes}
        row |= {"peak_bytes": chunk.peak_bytes, "ratio": found.planned_bytes / chunk.peak_bytes}
    return row
