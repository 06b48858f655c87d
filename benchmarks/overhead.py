"""Measures the cost of logging: the live table, metrics.jsonl, TensorBoard and diagnostics, against the bare programs.

    taskset -c 0 python benchmarks/overhead.py        # writes benchmarks/results/overhead.json

The same compiled training chunks are run alternately by a bare loop, which only evaluates returns and fetches nothing
until the end, and by the driver of every command, with a live table on a terminal of 120 columns. Times are from the
end of the first chunk to the end of the last, medians over rounds.
"""

import argparse
import dataclasses
import io
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("NPROC", "1")  # as the command line does for networks of this size

import jax
from rich.console import Console

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, evaluate
from ddpg_jax.cli.display import Display
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.experiment import Callbacks, train_job
from ddpg_jax.runs.plan import Job, plan_run
from ddpg_jax.runs.programs import evaluation_keys
from ddpg_jax.runs.run_folder import write_config

RESULTS = Path(__file__).parent / "results"


def bare(job: Job) -> float:
    """Returns the seconds of a run without logging."""
    agent = job.algorithm.value.make(job.config, job.env.spec)

    def play(key, learner):
        return evaluate(key, job.env, lambda obs: agent.act(learner, obs), job.run.eval_episodes).returns

    test, times, results = jax.jit(jax.vmap(play)), [], []
    state = job.programs.start(job.keys(), job.config)
    for before, after in zip(job.plan.bounds[:-1], job.plan.bounds[1:], strict=True):
        state, totals = job.programs.chunk(state, before, after - before, job.config)
        results.append((totals, test(evaluation_keys(job.keys(), after), state.learner)))
        if not times:
            jax.block_until_ready(results)
            times.append(time.perf_counter())
    jax.block_until_ready((state, results))
    return time.perf_counter() - times[0]


def monitored(job: Job) -> float:
    """Returns the seconds of a run with everything that is shown in a terminal and written to a run folder."""
    run = dataclasses.replace(job.run, out=Path(tempfile.mkdtemp()) / "run")
    run.folder.mkdir()
    write_config(run.folder, job.config_dict(), job.code)
    console, times = Console(file=io.StringIO(), force_terminal=True, width=120), []
    with Display(console) as display:

        def on_chunk(row: dict[str, Any], plan: Any) -> None:
            display.on_chunk(row, plan)
            times.append(time.perf_counter())

        state = job.programs.start(job.keys(), job.config)
        train_job(job._replace(run=run), state, job.plan.bounds, Callbacks(on_chunk=on_chunk), Clock(), first=False)
    return times[-1] - times[0]


def main() -> None:
    """Measures both alternately and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each")
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of a run")
    options = parser.parse_args()
    config, loop = DDPGConfig(hidden=(64, 64), norm="none"), LoopConfig(batch_size=64, replay_capacity=100_000)
    run = RunConfig(steps=options.steps, checkpoint_seconds=None, devices=1)
    job = plan_run("ddpg", config, loop, run)
    ways = {"bare": bare, "monitored": monitored}
    for way in ways.values():  # compiles
        way(job)
    times = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            times[name].append(way(job))
    medians = {name: statistics.median(values) for name, values in times.items()}
    figures = {
        "seconds": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "overhead": round(medians["monitored"] / medians["bare"] - 1, 4),
        "chunks": len(job.plan.bounds) - 1,
        "steps": options.steps,
        "device": f"{platform.machine()}, one of {os.cpu_count()} virtual cores, no accelerator",
        "command": f"python benchmarks/overhead.py --steps {options.steps}",
    }
    (RESULTS / "overhead.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
