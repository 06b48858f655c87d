"""Training of the trials of one program, with successive halving and population based training."""

import dataclasses
import itertools
import shlex
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.core.settings import is_at_start
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.data_parallel import STATE
from ddpg_jax.devices.layout import Layout, shardings
from ddpg_jax.runs import signals
from ddpg_jax.runs.checkpoint import load_state
from ddpg_jax.runs.chunks import run_chunks
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.experiment import summarize
from ddpg_jax.runs.programs import Programs, choose_layout, make_programs, seed_keys
from ddpg_jax.sweeps.curves import CurveWriter
from ddpg_jax.sweeps.progress import Keeper, resumable
from ddpg_jax.sweeps.search_space import CompileGroup, perturbed
from ddpg_jax.sweeps.task import Part, Task, TrialResult


def sweep_layout(group: CompileGroup, run: RunConfig, members: int, env: Env) -> tuple[RunConfig, Layout]:
    """Returns the run with so many members as its seeds, and how they are sharded."""
    all_seeds = dataclasses.replace(run, seeds=members)
    return all_seeds, choose_layout(group.config, group.loop, all_seeds, env)


def train_part(
    task: Task, part: Part, writer: CurveWriter, keeper: Keeper, state: TrainState | None
) -> TrainState | None:
    """Trains a part, from its beginning or, where a state is given, from where `keeper.progress` says.

    The results of its trials join `keeper.progress.ended` in the order in which they ended, the best last.

    Returns:
      the states of the seeds of the best trial; None if the sweep was stopped.
    """
    bounds, seeds, number = part.plan.bounds, task.run.seeds, keeper.progress.parts
    active, reached = list(part.group.indices), bounds[0]
    if keeper.progress.vector_step is not None:
        active, reached = list(keeper.progress.active), keeper.progress.vector_step
    rungs = [round((len(bounds) - 1) * rung / (task.halving + 1)) for rung in range(task.halving + 2)]
    for begin, end in itertools.pairwise(dict.fromkeys(bounds[rung] for rung in rungs)):
        if end <= reached:
            continue
        rung_bounds = [bound for bound in bounds if max(begin, reached) <= bound <= end]
        trained = _train_rung(task, part, rung_bounds, active, state, writer, keeper)
        if trained is None:
            return None
        state, evaluation = trained
        last = end == bounds[-1]
        ranked = [
            TrialResult(trial, part.plan.steps(end), summarize(task.run, _seeds_of(evaluation, index, seeds)), last)
            for index, trial in enumerate(active)
        ]
        ranked.sort(key=TrialResult.interval)
        better = ranked[-1:] if last else ranked[len(ranked) // 2 :]
        ended = ranked if last else ranked[: len(ranked) // 2]
        active, sources = _kept(task, part, active, better, not last)
        members = np.concatenate([source * seeds + np.arange(seeds) for source in sources])
        state = jax.tree.map(lambda leaf, members=members: leaf[members], state)
        keeper.progress = keeper.progress._replace(ended=[*keeper.progress.ended, *ended], active=active)
        if not last:
            keeper.save(number, end, part.plan.steps(end), keeper.progress, state)
            if keeper.stopping():
                return None
    return state


def _kept(
    task: Task, part: Part, active: list[int], better: list[TrialResult], more: bool
) -> tuple[list[int], list[int]]:
    """Returns the trials that train on, and the places in `active` of the states that they train from."""
    kept = sorted(result.trial for result in better)
    sources = [active.index(trial) for trial in kept]
    if task.pbt and more:
        best_first = [result.trial for result in reversed(better)]
        parents = [best_first[copy % len(best_first)] for copy in range(len(active) - len(kept))]
        sources += map(active.index, parents)
        kept += [_perturbed_copy(task, part, parent) for parent in parents]
    return kept, sources


def perturbable(group: CompileGroup) -> list[str]:
    """Returns the settings of a group's trials that have an effect where they change in the middle of training."""
    return [name for name in group.hyperparams if not is_at_start(type(group.config), name)]


def _perturbed_copy(task: Task, part: Part, parent: int) -> int:
    """Adds a trial like its parent with perturbed settings; returns its index."""
    rng = np.random.default_rng([task.run.seed, len(task.trials)])
    task.trials.append(perturbed(task.trials[parent], perturbable(part.group), task.config, rng))
    task.parents[len(task.trials) - 1] = parent
    return len(task.trials) - 1


def _train_rung(
    task: Task,
    part: Part,
    bounds: Sequence[int],
    active: Sequence[int],
    state: TrainState | None,
    writer: CurveWriter,
    keeper: Keeper,
) -> tuple[TrainState, Evaluation] | None:
    """Trains the active trials from the first bound to the last; without a state they begin. None: it was stopped."""
    if resumable(task.run.folder):
        again = f"`ddpg-jax sweep --resume {shlex.quote(str(task.run.folder))}` resumes the sweep"
        signals.end_at_once(f"stopped at once, where nothing is lost; {again}", 75)
    programs, layout = _programs(task, part, active)
    keys = seed_keys(task.run, layout, len(active))  # all seeds of the first trial, then of the next
    hyperparams = _hyperparams(task, part, active)
    if first := state is None:
        begun = writer.clock.start(programs, keys, part.group.config, hyperparams)
    else:
        state = dataclasses.replace(state, hyperparams=hyperparams)
        begun = multihost.reshard(state, shardings(state, layout, STATE))
    for chunk in run_chunks(programs, begun, keys, part.group.config, bounds, first, writer.clock):
        writer.write(part, chunk.vector_step, active, chunk.metrics)
        keeper.say_diverged(part.plan, active, chunk.diverged)
        steps, ends = part.plan.steps(chunk.vector_step), chunk.vector_step == bounds[-1]
        if chunk.vector_step > bounds[0]:
            signals.end_at_chunk()
        stopping = keeper.stopping()
        if not ends and (stopping or keeper.due(steps)):
            progress = keeper.progress._replace(active=active)
            keeper.save(keeper.progress.parts, chunk.vector_step, steps, progress, chunk.state)
        if stopping and not ends:
            return None
    return chunk.state, chunk.evaluation


def _programs(task: Task, part: Part, active: Sequence[int]) -> tuple[Programs, Layout]:
    _, layout = sweep_layout(part.group, task.run, len(active) * task.run.seeds, task.env)
    return make_programs(task.env, task.algorithm, part.group.loop, task.run.eval_episodes, layout), layout


def _hyperparams(task: Task, part: Part, active: Sequence[int]) -> dict[str, Any]:
    """Returns the traced settings [trials * seeds] of the active trials."""
    return {
        name: np.repeat(np.array([task.trials[trial][name] for trial in active], np.float32), task.run.seeds)
        for name in part.group.hyperparams
    }


def load_states(task: Task, part: Part, active: Sequence[int], vector_step: int) -> TrainState:
    """Reads the states of the active trials from a checkpoint of the sweep.

    Raises:
      Damaged: it cannot be read, or holds something else.
    """
    programs, layout = _programs(task, part, active)
    keys = jax.eval_shape(lambda: seed_keys(task.run, repeats=len(active)))
    shapes = programs.shapes(keys, part.group.config, _hyperparams(task, part, active))
    return load_state(task.run.folder, vector_step, shapes, layout).state


def _seeds_of(tree: Any, index: int, seeds: int) -> Any:
    """Returns the seeds of one trial."""
    return jax.tree.map(lambda leaf: leaf[index * seeds : (index + 1) * seeds], tree)
