"""What a sweep is and what it writes: curves.csv, sweep.csv, sweep.png and the best setting as a run."""

import csv
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs import figures, run_folder
from ddpg_jax.runs.plan import Plan, RunConfig
from ddpg_jax.runs.saving import save_state
from ddpg_jax.runs.statistics import Interval, interval
from ddpg_jax.sweeps.search_space import CompileGroup, Trial, applied

# told (number of the part, vector_step, numbers of its settings, metrics [members])
Tell = Callable[["Part", int, Sequence[int], dict[str, Any]], None]


class Task(NamedTuple):
    """What is swept. Settings that are born on the way join `trials`; `parents` knows whose copies they began as."""

    algorithm: str
    trials: list[Trial]
    parents: dict[int, int]
    config: Any
    loop: LoopConfig
    run: RunConfig
    env: Env
    halving: int
    pbt: bool


class Part(NamedTuple):
    """Settings that one program trains together, planned."""

    group: CompileGroup
    layout: Layout
    plan: Plan


class TrialResult(NamedTuple):
    """A setting at the end of its training."""

    setting: int  # its number in the sweep
    steps: int  # environment steps per seed
    seeds: list[dict[str, Any]]  # a row per seed, as in evaluation.json
    finished: bool  # not ended by halving

    def interval(self) -> Interval:
        """Of the seeds' final evaluations; -inf where one of them is not finite."""
        means = [row["mean"] for row in self.seeds]
        return Interval(-math.inf, -math.inf, -math.inf) if None in means else interval(means)


def curves(writer: Any, task: Task, on_chunk: Callable[[dict[str, Any], Plan], None]) -> Tell:
    """Writes curves.csv: a line per evaluation of a member."""
    began, trials, run = time.perf_counter(), task.trials, task.run
    writer.writerow(["setting", *trials[0], "seed", "steps", "updates", "seconds", "eval_return", "eval_length"])

    def tell(part: Part, vector_step: int, alive: Sequence[int], measured: dict[str, Any]) -> None:
        returns, lengths = (np.asarray(measured[name]).tolist() for name in ("eval_return", "eval_length"))
        when: dict[str, Any] = {"steps": part.plan.steps(vector_step), "updates": part.plan.updates(vector_step)}
        when["seconds"] = round(time.perf_counter() - began, 3)
        for at, (index, seed) in enumerate(itertools.product(alive, range(run.seeds))):
            values = [index, *trials[index].values(), run.seed + seed, *when.values(), returns[at], lengths[at]]
            writer.writerow(values)
        on_chunk(when | {"eval_return": returns}, part.plan)

    return tell


def write_tables(task: Task, ended: list[TrialResult]) -> list[dict[str, Any]]:
    """Writes sweep.csv, a line per seed of a setting, and sweep.png; returns a row per setting, the best first."""
    folder, trials = task.run.folder, task.trials
    lines = [
        {"setting": one.setting, "parent": task.parents.get(one.setting), **trials[one.setting], **row}
        | {"steps": one.steps, "finished": one.finished}
        for one in sorted(ended, key=lambda one: one.setting)
        for row in one.seeds
    ]
    ranked = sorted(ended, key=lambda one: (one.finished, one.steps, one.interval()), reverse=True)
    table = [
        {"setting": one.setting, **trials[one.setting], "steps": one.steps} | one.interval()._asdict() for one in ranked
    ]
    if not multihost.is_main():
        return table
    with (folder / "sweep.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    figures.sweep(trials, table, folder / "sweep.png")
    return table


def write_best(task: Task, won: TrialResult, part: Part, state: TrainState) -> None:
    """The seeds of the best setting as a run folder, for `evaluate`, `load_policy` and `train --resume`."""
    folder, (config, loop) = task.run.folder / "best", applied(task.trials[won.setting], task.config, task.loop)
    sharing = part.layout.data_shards  # which says how the replay lies, and which a run that goes on needs again
    devices = task.run.seeds * sharing if sharing > 1 else None
    run = dataclasses.replace(task.run, out=folder, seed_mapping=part.layout.mapping, devices=devices)
    state = dataclasses.replace(state, hyperparams={})  # they are in its config
    said = run_folder.config_dict(task.algorithm, run, loop, config, task.env.spec)
    if multihost.is_main():
        folder.mkdir()
        run_folder.write_config(folder, said)
        run_folder.write_evaluation(folder, run.eval_episodes, won.seeds)
    save_state(folder, part.plan.bounds[-1], state, said)
