"""What CUDA graphs bring: the same training with and without them, each in a process of its own.

By default a program is one graph. With `--no-cuda-graph` XLA makes graphs of what it would, and the host decides loops.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from ddpg_jax.devices.cuda_graph import FLAG
from ddpg_jax.runs.bench import CLASSIC, MASSIVE
from ddpg_jax.runs.matmul_limit import Workload
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys
from on_device import seeds
from on_device.rows import Rows, elsewhere
from on_device.training import Advance, chunks, described, ready, timed, toy_sized

VARIANTS: dict[str, tuple[bool, dict[str, str]]] = {  # name -> `cuda_graph`, and environment
    "one graph a program": (True, {}),
    "XLA's own graphs": (False, {}),
    "no graphs": (False, {"XLA_FLAGS": f"--{FLAG}="}),
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

    def measure(cuda_graph: bool) -> dict[str, Any]:
        return {"workloads": elsewhere(rates, chosen, cuda_graph, options.threads, 0.02 if options.toy else 0.4)}

    for variant, (cuda_graph, environment) in VARIANTS.items():
        flags = " ".join(filter(None, [os.environ.get("XLA_FLAGS"), environment.get("XLA_FLAGS")]))
        with mock.patch.dict(os.environ, environment | {"XLA_FLAGS": flags}):
            rows.attempt(variant, measure, cuda_graph)


def rates(workloads: dict[str, Workload], cuda_graph: bool, threads: int, seconds: float) -> dict[str, Any]:
    """Returns how fast each workload trains, once all are compiled."""

    def started(work: Workload) -> tuple[Advance, float]:
        return ready(work, lambda work: begin(work, cuda_graph))

    with ThreadPoolExecutor(threads) as pool:
        ready_ones = dict(zip(workloads, pool.map(started, workloads.values()), strict=True))
    found = {}
    for name, (advance, first) in ready_ones.items():
        found[name] = described(workloads[name]) | timed(advance, seconds) | {"first_update_s": first}
    return found


def begin(work: Workload, cuda_graph: bool) -> Advance:
    """Returns what `bench.begin` does, with or without one CUDA graph a program."""
    env, config, loop, run = work.parts()
    layout = choose_layout(config, loop, run, env)._replace(cuda_graph=cuda_graph)
    programs = make_programs(env, work.algorithm, loop, 1, layout)
    state = programs.start(seed_keys(run), config)
    return chunks(programs, state, -(-loop.warmup_steps // loop.num_envs), config, loop)
