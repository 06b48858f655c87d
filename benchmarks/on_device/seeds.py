"""How training scales over seeds under `vmap`, with small and with large networks."""

from typing import Any

from ddpg_jax.runs.bench import CLASSIC, SMALL
from ddpg_jax.runs.matmul_limit import Workload
from on_device.rows import Rows
from on_device.training import measure

NETWORKS = {"64-64, minibatch 64": SMALL, "256-256, minibatch 256": CLASSIC}


def workloads(toy: bool) -> dict[str, Workload]:
    """Returns the workloads by name."""
    counts = (1, 4) if toy else (1, 8, 64, 256)
    networks = list(NETWORKS.items())[: 1 if toy else None]
    pairs = [(f"{count} x {name}", work, count) for name, work in networks for count in counts]
    return {name: work._replace(seeds=count, replay_capacity=20_000) for name, work, count in pairs}


def run(rows: Rows, options: Any) -> None:
    """Measures each number of seeds."""
    measure(rows, workloads(options.toy), options)
