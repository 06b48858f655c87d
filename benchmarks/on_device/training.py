"""Workloads in training: compiled several at a time, then timed one after the other."""

import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.runs import matmul_limit
from ddpg_jax.runs.bench import begin, paced
from ddpg_jax.runs.matmul_limit import Rate, Workload
from ddpg_jax.runs.programs import Programs, choose_layout, make_programs, seed_keys
from on_device.rows import Rows

Advance = Callable[[int], Rate]
REPEATS = 3  # after one that is not counted
GROUP = 4  # workloads that compile at the same time


def toy_sized(workload: Workload) -> Workload:
    """Returns the workload with networks, minibatch, seeds and environments so small that only compiling takes time."""
    small: dict[str, Any] = {"hidden": (8, 8), "batch_size": 8, "replay_capacity": 512, "warmup_steps": 32}
    return workload._replace(seeds=min(workload.seeds, 4), num_envs=min(workload.num_envs, 8), **small)


def ready(workload: Workload, start: Callable[[Workload], Advance] = begin) -> tuple[Advance, float]:
    """Returns a workload that has made its first update, and the seconds that this took."""
    began = time.perf_counter()
    advance = start(workload)
    advance(1)
    return advance, time.perf_counter() - began


def chunks(programs: Programs, state: Any, first: int, config: Any, loop: LoopConfig) -> Advance:
    """Returns advance(length), which trains a state [S] on from the vector step `first`; the state is donated."""
    seeds = state.nonfinite_at.shape[0]

    def advance(length):
        nonlocal state, first
        began = time.perf_counter()
        state, _ = jax.block_until_ready(programs.chunk(state, first, length, config))
        first += length
        steps = length * seeds
        return Rate(steps * loop.updates_per_step, steps * loop.num_envs, time.perf_counter() - began)

    return advance


def timed(advance: Advance, seconds: float) -> dict[str, Any]:
    """Returns the rates of chunks of `seconds`: the median, and all of them."""
    length = paced(advance, seconds)
    rates = [advance(length) for _ in range(REPEATS + 1)][1:]
    updates = [rate.updates / rate.seconds for rate in rates]
    return {
        "updates_per_s": statistics.median(updates),
        "env_steps_per_s": statistics.median(rate.env_steps / rate.seconds for rate in rates),
        "all_updates_per_s": updates,
        "chunk": length,
    }


def measure(rows: Rows, workloads: dict[str, Workload], options: Any) -> None:
    """Sends a row per workload: how fast it trains, and which part that is of the device's fastest products.

    Those of a group are all compiled before one is timed, and only then comes the next group.
    """
    names = list(workloads)
    for place in range(0, len(names), GROUP):
        group = {name: workloads[name] for name in names[place : place + GROUP]}
        sized = {name: (toy_sized(work) if options.toy else work)._replace(devices=1) for name, work in group.items()}
        with ThreadPoolExecutor(options.threads) as pool:
            started = {name: pool.submit(ready, work) for name, work in sized.items()}
        for name, work in sized.items():
            rows.attempt(name, rates_of, rows, work, started.pop(name), 0.02 if options.toy else 0.5)


def rates_of(rows: Rows, work: Workload, started: Future[tuple[Advance, float]], seconds: float) -> dict[str, Any]:
    """Returns the row of a workload that has begun."""
    advance, first = started.result()
    rates, fastest = timed(advance, seconds), rows.known("ceilings", "products in float32").get("tflops")
    tflops = rates["updates_per_s"] * update_flops(work) / 1e12
    share = tflops / fastest if fastest else None
    return described(work) | rates | {"first_update_s": first, "tflops": tflops, "share_of_products": share}


def described(work: Workload) -> dict[str, Any]:
    """Returns the settings of a workload that is on one device, and how its seeds are mapped."""
    names = ("algorithm", "env", "hidden", "batch_size", "num_envs", "seeds", "replay_capacity")
    return {name: getattr(work, name) for name in names} | {"seed_mapping": work.layout().mapping}


def update_flops(work: Workload) -> int:
    """Returns the floating-point operations of the matrix products of one update of one seed."""
    total = 0
    for ((left, right), ((contracted, _), (batched, _))), count in matmul_limit.products(work).items():
        shared = math.prod(left[axis] for axis in (*contracted, *batched))
        total += 2 * count * math.prod(left) * math.prod(right) // shared
    return total


def shapes_of_chunk(work: Workload) -> tuple[Any, tuple[Any, ...]]:
    """Returns the jitted chunk of a workload and shapes of its arguments."""
    env, config, loop, run = work.parts()
    phases = make_programs(env, work.algorithm, loop, 1, choose_layout(config, loop, run, env))
    state = phases.shapes(jax.eval_shape(lambda: seed_keys(run)), config)
    number = jax.ShapeDtypeStruct((), "int32")
    return phases.chunk, (state, number, number, config)
