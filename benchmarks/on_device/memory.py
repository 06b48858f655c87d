"""The memory of a run as planned, beside the most that the device had in use; each case in a process of its own.

The programs should come from the cache, for choosing kernels by timing them takes memory too: `compiled` says how many
did not.
"""

import resource
import sys
from typing import Any

from ddpg_jax.runs.matmul_limit import Workload
from on_device import environments, seeds
from on_device.rows import Rows, elsewhere
from on_device.training import toy_sized

UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes


def run(rows: Rows, options: Any) -> None:
    """Measures the most seeds, the most environments, and a large replay."""
    many, envs = seeds.workloads(options.toy), environments.workloads(options.toy)
    cases = {list(kind)[-1]: list(kind.values())[-1] for kind in (many, envs)}
    cases["64 seeds, a million transitions each"] = seeds.NETWORKS["64-64, minibatch 64"]._replace(
        seeds=64, replay_capacity=1_000_000
    )
    for name, work in list(cases.items())[-1 if options.toy else 0 :]:
        work = toy_sized(work) if options.toy else work
        rows.attempt(name, elsewhere, measured, work._replace(devices=1))


def measured(work: Workload) -> dict[str, Any]:
    """Trains briefly and returns the bytes of the plan and the most that were in use."""
    import jax

    from ddpg_jax.runs import bench
    from ddpg_jax.runs.plan import make_plan
    from ddpg_jax.runs.programs import choose_layout, make_programs

    compiled = []
    jax.monitoring.register_event_listener(lambda event, **_: compiled.append(event.endswith("cache_misses")))
    env, config, loop, run = work.parts()
    layout = choose_layout(config, loop, run, env)
    plan = make_plan(env, make_programs(env, work.algorithm, loop, 1, layout), config, loop, run, layout)
    advance = bench.begin(work)
    advance(50)
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "planned_bytes": plan.total_bytes,
        "state_bytes": plan.state_bytes,
        "peak_bytes": peak,
        "ratio": peak / plan.total_bytes if peak else None,
        "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT,
        "compiled": sum(compiled),
    }
