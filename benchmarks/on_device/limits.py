"""The products of an update at their own shapes, and the launches of a step: what bounds the rates of other stages."""

from typing import Any

import jax

from ddpg_jax.devices.targets import Target, compile_for
from ddpg_jax.runs.bench import CLASSIC
from ddpg_jax.runs.matmul_limit import Workload, begin_limit
from on_device import environments, seeds
from on_device.rows import Rows
from on_device.training import ready, shapes_of_chunk, timed, toy_sized


def run(rows: Rows, options: Any) -> None:
    """Measures both for the workloads that say most: one agent, the most seeds, the most environments."""
    many, envs = seeds.workloads(options.toy), environments.workloads(options.toy)
    chosen = {("classic", "ddpg"): CLASSIC}
    chosen |= {("seeds", name): many[name] for name in list(many)[::-1]}
    chosen |= {("environments", name): envs[name] for name in list(envs)[:0:-1]}
    chosen = {key: work._replace(devices=1) for key, work in chosen.items()}
    for (stage, name), work in list(chosen.items())[: 1 if options.toy else None]:
        work, measured = (toy_sized(work) if options.toy else work), rows.known(stage, name)
        rows.attempt(f"{stage}: {name}", launched, work, measured)
    for (stage, name), work in list(chosen.items())[: 1 if options.toy else None]:
        work, measured = (toy_sized(work) if options.toy else work), rows.known(stage, name)
        rows.attempt(f"{stage}: {name}", limited, work, measured, 0.02 if options.toy else 0.3)


def limited(work: Workload, measured: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Returns the updates in a second of the products alone, and which part of that training reaches."""
    advance, _ = ready(work, begin_limit)
    most = timed(advance, seconds)["updates_per_s"]
    reached = measured.get("updates_per_s")
    return {"limit_updates_per_s": most, "updates_per_s": reached, "share": reached / most if reached else None}


def launched(work: Workload, measured: dict[str, Any]) -> dict[str, Any]:
    """Returns what a step launches, as `ddpg-jax compile` counts it, and how much of that happens in a second."""
    device = jax.devices()[0]
    chunk, shapes = shapes_of_chunk(work)
    platform = "cuda" if device.platform == "gpu" else device.platform
    found = compile_for(Target("this device", platform, (device,), 0), chunk, *shapes)
    counts = {"launches": found.launches, "copies": found.copies, "host_decisions": found.host_decisions}
    if found.launches and "env_steps_per_s" in measured:
        steps = measured["env_steps_per_s"] / work.num_envs / work.seeds
        counts["launches_per_s"] = steps * found.launches
    return counts | {"compile_s": found.compile_seconds}
