"""Training of the trials of one program, with successive halving and population based training."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.data_parallel import STATE
from ddpg_jax.devices.layout import Layout, shardings
from ddpg_jax.runs.chunks import run_chunks
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.experiment import summarize
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys
from ddpg_jax.sweeps.curves import CurveWriter
from ddpg_jax.sweeps.search_space import CompileGroup, perturbed
from ddpg_jax.sweeps.task import Part, Task, TrialResult


def sweep_layout(group: CompileGroup, run: RunConfig, members: int, env: Env) -> tuple[RunConfig, Layout]:
    """Returns the run with so many members as its seeds, and how they are sharded."""
    all_seeds = dataclasses.replace(run, seeds=members)
    return all_seeds, choose_layout(group.config, group.loop, all_seeds, env)


def train_part(task: Task, part: Part, writer: CurveWriter) -> tuple[list[TrialResult], TrainState]:
    """Trains a part; returns its trials in the order in which they ended, the best last, and their states."""
    bounds, seeds = part.plan.bounds, task.run.seeds
    active, ended = list(part.group.indices), []
    state = None
    rungs = [round((len(bounds) - 1) * rung / (task.halving + 1)) for rung in range(task.halving + 2)]
    for begin, end in itertools.pairwise(dict.fromkeys(bounds[rung] for rung in rungs)):
        rung_bounds = [bound for bound in bounds if begin <= bound <= end]
        state, evaluation = _train_rung(task, part, rung_bounds, active, state, writer)
        last = end == bounds[-1]
        ranked = [
            TrialResult(trial, part.plan.steps(end), summarize(task.run, _seeds_of(evaluation, index, seeds)), last)
            for index, trial in enumerate(active)
        ]
        ranked.sort(key=TrialResult.interval)
        better = ranked[-1:] if last else ranked[len(ranked) // 2 :]
        ended += ranked if last else ranked[: len(ranked) // 2]
        kept = sorted(result.trial for result in better)
        sources = [active.index(trial) for trial in kept]  # of the states that train on
        if task.pbt and not last:
            best_first = [result.trial for result in reversed(better)]
            parents = [best_first[copy % len(best_first)] for copy in range(len(active) - len(kept))]
            sources += map(active.index, parents)
            kept += [_perturbed_copy(task, part, parent) for parent in parents]
        members = np.concatenate([source * seeds + np.arange(seeds) for source in sources])
        active, state = kept, jax.tree.map(lambda leaf, members=members: leaf[members], state)
    assert state is not None
    return ended, state


def _perturbed_copy(task: Task, part: Part, parent: int) -> int:
    """Adds a trial like its parent with perturbed settings; returns its index."""
    rng = np.random.default_rng([task.run.seed, len(task.trials)])
    task.trials.append(perturbed(task.trials[parent], list(part.group.hyperparams), task.config, rng))
    task.parents[len(task.trials) - 1] = parent
    return len(task.trials) - 1


def _train_rung(
    task: Task,
    part: Part,
    bounds: Sequence[int],
    active: Sequence[int],
    state: TrainState | None,
    writer: CurveWriter,
) -> tuple[TrainState, Evaluation]:
    """Trains the active trials from the first bound to the last; without a state they begin."""
    group, run, env = part.group, task.run, task.env
    _, layout = sweep_layout(group, run, len(active) * run.seeds, env)
    programs = make_programs(env, task.algorithm, group.loop, run.eval_episodes, layout)
    keys = seed_keys(run, layout, len(active))  # all seeds of the first trial, then of the next
    hyperparams: dict[str, Any] = {
        name: np.repeat(np.array([task.trials[trial][name] for trial in active], np.float32), run.seeds)
        for name in group.hyperparams
    }
    if first := state is None:
        begun = programs.start(keys, group.config, hyperparams)
    else:
        state = dataclasses.replace(state, hyperparams=hyperparams)
        begun = multihost.reshard(state, shardings(state, layout, STATE))
    for chunk in run_chunks(programs, begun, keys, group.config, bounds, first):
        writer.write(part, chunk.vector_step, active, chunk.metrics)
    return chunk.state, chunk.evaluation


def _seeds_of(tree: Any, index: int, seeds: int) -> Any:
    """Returns the seeds of one trial."""
    return jax.tree.map(lambda leaf: leaf[index * seeds : (index + 1) * seeds], tree)
