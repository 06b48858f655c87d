"""Training speed, compile time and memory over combinations of seeds and environments."""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import jax

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError, check, shown
from ddpg_jax.devices.backend import refuse_exhaustion
from ddpg_jax.runs.bench import ROUNDS, check_seconds, paced, training
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.config import Backend, RunConfig
from ddpg_jax.runs.load import Load
from ddpg_jax.runs.named import name_algorithm, name_env, open_env
from ddpg_jax.runs.plan import Job, make_plan
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys

Numbers = int | Sequence[int]


def measure(*args: Any, **options: Any) -> list[dict[str, Any]]:
    """Returns the rows of `measurements`, whose arguments it takes."""
    return list(measurements(*args, **options))


def measurements(
    algorithm: Any = "ddpg",
    env: Any = "Pendulum-v1",
    num_envs: Numbers = 1,
    seeds: Numbers = 1,
    hidden: Sequence[int] | None = None,
    batch_size: int = 256,
    updates_per_step: int = 1,
    replay_capacity: int = 100_000,
    seconds: float = 3.0,
    backend: Backend | None = None,
) -> Iterator[dict[str, Any]]:
    """Measures training, without evaluation and files, in every combination of seeds and environments.

    Args:
      algorithm: as for `run_experiment`.
      env: as for `RunConfig`.
      num_envs, seeds: one number or several.
      hidden, batch_size, updates_per_step, replay_capacity: settings, the same in every row; `hidden` None: the
        algorithm's own.
      seconds: about how long each row is trained, beside compiling; rates are medians of five rounds.
      backend: as for `RunConfig`.

    Yields:
      a row: the settings; `devices` and `seed_mapping`, how seeds are laid out; `compile_seconds` of the programs that
      a run needs before its first update, and whether all were `from_cache`; `env_steps_per_s_of_all_seeds` and
      `updates_per_s_of_all_seeds`; `compiled_bytes_per_device`, of arguments, results and temporaries that XLA has
      assigned to the training program; `peak_bytes_in_use`, the most that a device had allocated at any moment, or None
      where the device does not say (CPU) or an earlier row took more; `other_cores`, how many cores other processes
      used meanwhile.

    Raises:
      SettingError: before anything is measured, where a combination cannot be trained.
    """
    check_seconds(seconds)
    widths = hidden if hidden is None else tuple(hidden)
    loop = {"batch_size": batch_size, "updates_per_step": updates_per_step, "replay_capacity": replay_capacity}
    pairs = list(itertools.product(_numbers("seeds", seeds), _numbers("num_envs", num_envs)))
    jobs = [_job(algorithm, env, backend, widths, loop | {"num_envs": envs}, agents) for agents, envs in pairs]
    for job in jobs:
        shared = {
            "algorithm": job.algorithm.name,
            "env": job.run.env,
            "seeds": job.run.seeds,
            "num_envs": job.loop.num_envs,
        }
        shared["hidden"] = list(getattr(job.config, "hidden", ()))
        with refuse_exhaustion():
            row = _measured(job, seconds)
        yield shared | loop | row


def _numbers(name: str, given: Numbers) -> tuple[int, ...]:
    """Returns one number or several as several, of which there is at least one."""
    numbers = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    if not numbers:
        raise SettingError(f"{name} must name at least one number, not {shown(given)}.")
    return numbers


def _job(
    algorithm: Any, env: Any, backend: Backend | None, hidden: Sequence[int] | None, loop: dict[str, Any], seeds: int
) -> Job:
    """Plans a run that is only trained."""
    named, task = name_algorithm(algorithm), name_env(env)
    kind = named.value.config
    if hidden is not None and "hidden" not in {field.name for field in fields(kind)}:
        raise SettingError(f"hidden must be None for {named.name}, which has no hidden layers, not {shown(hidden)}.")
    config, gathering = kind() if hidden is None else kind(hidden=hidden), LoopConfig(**loop)
    run = RunConfig(env=task.name, backend=backend, seeds=seeds, evaluations=1, eval_episodes=1)
    for group in (config, gathering, run):
        check(group)
    warmup = max(gathering.warmup_steps, gathering.batch_size)
    gathering = replace(gathering, warmup_steps=warmup)
    run = replace(run, steps=warmup + 10 * gathering.num_envs)
    made = open_env(task, run)
    layout = choose_layout(config, gathering, run, made)
    programs = make_programs(made, named, gathering, 1, layout)
    plan = make_plan(made, programs, config, gathering, run, layout)
    return Job(named, config, gathering, run, made, layout, programs, plan)


def _measured(job: Job, seconds: float) -> dict[str, Any]:
    """Returns what is measured of one combination."""
    said: list[str] = []
    before, clock = _peak(job), Clock(said.append)
    state = clock.start(job.programs, seed_keys(job.run, job.layout), job.config)
    with clock.compiling("the training") as compiled:
        program = compiled(job.programs.chunk, state, job.plan.bounds[0], 1, job.config)
    advance = training(job.programs, jax.block_until_ready(state), job.config, job.loop, job.run)
    del state  # which training has been given
    length, load = paced(advance, seconds / ROUNDS), Load()
    rates = [advance(length) for _ in range(ROUNDS)]
    others, after = load.others(), _peak(job)
    return {
        "seed_mapping": job.layout.mapping,
        "devices": job.layout.devices,
        "compile_seconds": round(clock.compile_seconds, 3),
        "from_cache": all(words.endswith("from the cache") for words in said if words.startswith("compiled")),
        "env_steps_per_s_of_all_seeds": statistics.median(rate.env_steps / rate.seconds for rate in rates),
        "updates_per_s_of_all_seeds": statistics.median(rate.updates / rate.seconds for rate in rates),
        "compiled_bytes_per_device": _compiled_bytes(program),
        "peak_bytes_in_use": after if after is not None and after != before else None,
        "other_cores": others,
    }


def _peak(job: Job) -> int | None:
    """Returns the most bytes that one of the devices has had allocated since the process began, if it says so."""
    devices = jax.local_devices()[: job.layout.devices]
    stats = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in devices]
    known = [peak for peak in stats if peak is not None]
    return max(known, default=None)


def _compiled_bytes(program: Any) -> int | None:
    """Returns the bytes that XLA has assigned to a program on a device; what is updated in place counts once."""
    found = program.memory_analysis()
    if found is None:
        return None
    whole = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return int(whole - found.alias_size_in_bytes)
