"""How training scales over environments of one agent, one update per step of all of them."""

from typing import Any

from ddpg_jax.runs.bench import MASSIVE
from ddpg_jax.runs.matmul_limit import Workload
from on_device.rows import Rows
from on_device.training import measure


def workloads(toy: bool) -> dict[str, Workload]:
    """Returns the workloads by name; the largest minibatch is as large as the number of environments."""
    sizes = (1, 8) if toy else (1, 64, 1024, 8192)
    chosen = {n: MASSIVE._replace(num_envs=n, batch_size=max(256, n), warmup_steps=max(1000, 10 * n)) for n in sizes}
    return {f"{n:,} environments, minibatch {work.batch_size:,}": work for n, work in chosen.items()}


def run(rows: Rows, options: Any) -> None:
    """Measures each number of environments."""
    measure(rows, workloads(options.toy), options)
