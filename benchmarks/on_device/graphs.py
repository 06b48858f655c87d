"""What CUDA graphs bring: the same training with and without them, each in a process of its own."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from ddpg_jax.runs.bench import CLASSIC, MASSIVE
from ddpg_jax.runs.matmul_limit import Workload
from on_device import seeds
from on_device.rows import Rows, elsewhere
from on_device.training import described, ready, timed, toy_sized

VARIANTS: dict[str, dict[str, str]] = {  # name -> environment; flags are added to those of the user
    "as installed": {},
    "no graphs": {"XLA_FLAGS": "--xla_gpu_enable_command_buffer="},
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

    def measure() -> dict[str, Any]:
        return {"workloads": elsewhere(rates, chosen, options.threads, 0.02 if options.toy else 0.4)}

    for variant, environment in VARIANTS.items():
        flags = " ".join(filter(None, [os.environ.get("XLA_FLAGS"), environment.get("XLA_FLAGS")]))
        with mock.patch.dict(os.environ, environment | {"XLA_FLAGS": flags}):
            rows.attempt(variant, measure)


def rates(workloads: dict[str, Workload], threads: int, seconds: float) -> dict[str, Any]:
    """Returns how fast each workload trains, once all are compiled."""
    with ThreadPoolExecutor(threads) as pool:
        started = dict(zip(workloads, pool.map(ready, workloads.values()), strict=True))
    measured = {name: timed(advance, seconds) | {"first_update_s": first} for name, (advance, first) in started.items()}
    return {name: described(workloads[name]) | rate for name, rate in measured.items()}
