"""Profiles every kernel of a training step, for two workloads W1 and W2 on one core.

    taskset -c 0 python benchmarks/profile_step.py        # writes benchmarks/results/profile.json

The kernels of XLA's own trace of a compiled chunk (`jax.profiler`) are grouped by name. What is neither a matrix
product nor a gather is element-wise work, which is bound by memory bandwidth.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("NPROC", "1")

import jax
from jax.profiler import ProfileData

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, make_env
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.programs import make_programs, seed_keys

RESULTS = Path(__file__).parent / "results"
WORKLOADS = {
    "W1: 1 environment, minibatch 256": (LoopConfig(batch_size=256, replay_capacity=100_000), 300),
    "W2: 1,024 environments, minibatch 1,024": (
        LoopConfig(num_envs=1024, batch_size=1024, replay_capacity=1_000_000, warmup_steps=10_240),
        60,
    ),
}
# A kernel belongs to the first group of which its name contains a word. XLA on a CPU calls products `dot`, or `ynn`
# with bias and activation.
GROUPS = {
    "matrix products, with bias and activation": ("dot", "ynn"),
    "optimizer and target averaging": ("multiply_add",),
    "copies": ("copy",),
    "replay: writing and gathering": ("gather", "dynamic-update-slice"),
    "element-wise work, sums and random numbers": ("fusion", "reduce", "wrapped", "broadcast", "rng", "iota", "sort"),
}
OUTER = ("while", "call", "cond", "Thunk", "end:", "Execut")  # events that contain kernels, or are none


def group_of(kernel: str) -> str:
    """Returns the group of a kernel, by its name."""
    return next((group for group, words in GROUPS.items() if any(word in kernel for word in words)), "other")


def profile(loop: LoopConfig, steps: int) -> dict[str, Any]:
    """Returns the microseconds per step and the fraction of each group of kernels."""
    config = DDPGConfig(norm="none")
    phases = make_programs(make_env("Pendulum-v1"), "ddpg", loop, 1, Layout("sequential"))
    state = phases.start(seed_keys(RunConfig()), config)
    warmup = -(-loop.warmup_steps // loop.num_envs)
    state, _ = phases.chunk(state, warmup, 20, config)
    jax.block_until_ready(state)
    folder = tempfile.mkdtemp()
    with jax.profiler.trace(folder):
        began = time.perf_counter()
        state, _ = phases.chunk(state, warmup + 20, steps, config)
        jax.block_until_ready(state)
        seconds = time.perf_counter() - began
    (file,) = Path(folder).rglob("*.xplane.pb")
    spent, kernels = Counter[str](), 0
    for plane in ProfileData.from_file(str(file)).planes:
        for line in plane.lines if plane.name == "/host:CPU" else ():
            for event in line.events if line.name.startswith("tf_XLAEigen") else ():
                if not event.name.startswith(OUTER):
                    spent[group_of(event.name.split(".")[0])] += event.duration_ns
                    kernels += 1
    total = sum(spent.values())
    shares = {group: round(spent[group] / total, 4) for group in [*GROUPS, "other"]}
    return {"step_us": round(1e6 * seconds / steps, 1), "kernels_per_step": round(kernels / steps), "shares": shares}


def main() -> None:
    """Profiles both workloads and writes the results."""
    result: dict[str, Any] = {name: profile(*workload) for name, workload in WORKLOADS.items()}
    print(json.dumps(result, indent=1))
    result["device"] = f"{platform.machine()}, one of {os.cpu_count()} virtual cores, no accelerator"
    result["versions"] = {"jax": jax.__version__}
    result["command"] = "python " + " ".join(sys.argv)
    (RESULTS / "profile.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
