"""Training speed of this machine beside the limit that its matrix products set.

A workload is one configuration of the whole loop. Its limit is the time of the matrix products of one update, each
timed alone at its actual shape: the speed if everything else were free.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import TrainState
from ddpg_jax.devices.backend import cores
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.env_speed import environments
from ddpg_jax.runs.load import Load
from ddpg_jax.runs.matmul_limit import Rate, Workload, begin_limit
from ddpg_jax.runs.programs import Programs, choose_layout, make_programs, seed_keys

ROUNDS = 5  # of which the median counts


def check_seconds(seconds: float) -> None:
    """Checks how long a row is to be measured.

    Raises:
      SettingError: it is no time, or too long a one.
    """
    if not 0 < seconds <= 3600:
        raise SettingError(f"seconds must be above 0 and at most 3,600, not {seconds}.")


def begin(workload: Workload) -> Callable[[int], Rate]:
    """Compiles a workload and fills its replay.

    Returns:
      advance(length): trains `length` vector steps of every seed and waits for them; the first call compiles.
    """
    env, config, loop, run = workload.parts()
    phases = make_programs(env, workload.algorithm, loop, 1, choose_layout(config, loop, run, env))
    return training(phases, jax.block_until_ready(phases.start(seed_keys(run), config)), config, loop, run)


def training(
    phases: Programs, state: TrainState, config: Any, loop: LoopConfig, run: RunConfig
) -> Callable[[int], Rate]:
    """Returns `advance` as `begin` does, from the state after the warm-up."""
    vector_step = -(-loop.warmup_steps // loop.num_envs)

    def advance(length):
        nonlocal state, vector_step
        began = time.perf_counter()
        state, _ = jax.block_until_ready(phases.chunk(state, vector_step, length, config))
        vector_step += length
        steps = length * run.seeds
        return Rate(steps * loop.updates_per_step, steps * loop.num_envs, time.perf_counter() - began)

    return advance


def paced(advance: Callable[[int], Rate], seconds: float = 0.5) -> int:
    """Returns a chunk length that takes about `seconds`; compiles the workload on the way."""
    advance(1)
    length = 1
    while (took := advance(length).seconds) < seconds / 4:
        length *= 4 if took < seconds / 16 else 2
    return max(1, round(length * seconds / took))


# What `ddpg-jax bench` measures: each in a few seconds on two cores.
CLASSIC = Workload()
SMALL = Workload(hidden=(64, 64), batch_size=64)
MASSIVE = Workload(num_envs=1024, batch_size=1024, replay_capacity=1_000_000, warmup_steps=10_240)
MANY = Workload(seeds=8)


def workloads() -> dict[str, Workload]:
    """Returns the rows of the table; on an accelerator also larger ones, which fill it."""
    rows = {"classic": CLASSIC, "small": SMALL, "massive": MASSIVE, "8 seeds": MANY}
    if jax.default_backend() != "cpu":
        rows |= {f"{seeds} seeds": MANY._replace(seeds=seeds) for seeds in (64, 256)}
        rows["16384 environments"] = MASSIVE._replace(num_envs=16384, batch_size=32768, warmup_steps=163_840)
    return rows


def table(seconds: float = 3.0) -> Iterator[dict[str, Any]]:
    """Measures and yields a row per workload, then one for environments alone."""
    for name, workload in workloads().items():
        yield {"workload": name} | beside_limit(workload, seconds)
    yield environments(seconds)


def beside_limit(workload: Workload, seconds: float = 3.0) -> dict[str, Any]:
    """Returns the rates of a workload and of its limit, measured alternately; medians of five rounds in `seconds`."""
    began = time.perf_counter()
    runs = [begin(workload)]
    runs[0](1)
    first = time.perf_counter() - began
    runs.append(begin_limit(workload))
    lengths = [paced(run, seconds / 10) for run in runs]
    load = Load()
    trained, most = zip(
        *([run(length) for run, length in zip(runs, lengths, strict=True)] for _ in range(ROUNDS)), strict=True
    )
    updates, limit = (statistics.median(rate.updates / rate.seconds for rate in rates) for rates in (trained, most))
    return {
        "updates_per_s": updates,
        "env_steps_per_s": statistics.median(rate.env_steps / rate.seconds for rate in trained),
        "first_update_s": first,
        "limit_updates_per_s": limit,
        "share": updates / limit,
        "other_cores": load.others(),
    }


def machine() -> str:
    """Returns the device, the cores and the version of jax in words."""
    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}, {cores()} CPU cores, jax {jax.__version__}"
