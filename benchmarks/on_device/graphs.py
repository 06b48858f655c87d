"""What CUDA graphs bring: the same training with and without them, each in a process of its own."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ddpg_jax.runs.bench import CLASSIC, MASSIVE
from ddpg_jax.runs.matmul_limit import Workload
from on_device import seeds
from on_device.rows import Rows, elsewhere
from on_device.training import described, ready, timed, toy_sized

FLAG = "--xla_gpu_enable_command_buffer="
VARIANTS = {  # name -> flags of XLA
    "as installed": "",
    "no graphs": FLAG,
}
WORKLOADS = {
    "one seed of 256-256": CLASSIC,
    "64 seeds of 64-64": seeds.NETWORKS["64-64, minibatch 64"]._replace(seeds=64, replay_capacity=20_000),
    "1,024 environments of 256-256": MASSIVE,
}


def run(rows: Rows, options: Any) -> None:
    """Measures the workloads in each variant."""
    chosen = {name: work._replace(devices=1) for name, work in WORKLOADS.items()}
    if options.toy:
        chosen = {name: toy_sized(work) for name, work in list(chosen.items())[:1]}
    before = os.environ.get("XLA_FLAGS", "")
    for variant, flags in VARIANTS.items():
        os.environ["XLA_FLAGS"] = f"{before} {flags}".strip()

        def measure(chosen: dict[str, Workload] = chosen) -> dict[str, Any]:
            return {"workloads": elsewhere(rates, chosen, options.threads, 0.02 if options.toy else 0.4)}

        rows.attempt(variant, measure)


def rates(workloads: dict[str, Workload], threads: int, seconds: float) -> dict[str, Any]:
    """Returns how fast each workload trains, once all are compiled."""
    with ThreadPoolExecutor(threads) as pool:
        started = dict(zip(workloads, pool.map(ready, workloads.values()), strict=True))
    measured = {name: timed(advance, seconds) | {"first_update_s": first} for name, (advance, first) in started.items()}
    return {name: described(workloads[name]) | rate for name, rate in measured.items()}
