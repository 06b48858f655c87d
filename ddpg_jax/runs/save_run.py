"""`save_run`: what `train` has left in memory as a run folder, for every command that takes one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import TrainState
from ddpg_jax.runs import folders, metrics, run_folder
from ddpg_jax.runs.checkpoint import Checkpoints
from ddpg_jax.runs.chunks import ChunkResult, run_chunks
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.evaluation import write_evaluation
from ddpg_jax.runs.experiment import Result, summarize
from ddpg_jax.runs.files import atomic_write
from ddpg_jax.runs.plan import Job, plan_run


def save_run(
    state: TrainState,
    algorithm: Any,
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    history: Mapping[str, Any] | None = None,
    log: Callable[[str], None] | None = None,
) -> Result:
    """Evaluates the policies of a state in memory and writes it as a run folder, from which it can be resumed, too.

    Args:
      state: the first value of `train(key, env, agent, loop, steps=run.steps)`; of several seeds, as `jax.vmap` makes
        it, if `run.seeds` is above 1.
      algorithm, config, loop, run: as for `run_experiment`: with what it was trained. `run.evaluations` is the `chunks`
        of `train`.
      history: the metrics that `train` returned, [chunks] or [seeds, chunks] of each quantity.
      log: called with a sentence about what happens next.

    Raises:
      SettingError: the state does not have the shapes that these settings make, or as for `run_experiment`.
    """
    job = plan_run(algorithm, config, loop, run, begins=False)
    state = _over_seeds(state, job)
    last = job.plan.bounds[-1]
    with folders.new_run_folder(job.run.folder, run.overwrite):
        run_folder.write_config(job.run.folder, job.config_dict(), job.code)
        if log:
            log(job.describe())
        (chunk,) = run_chunks(job.programs, state, job.keys(), config, [last])
        table = summarize(job.run, chunk.evaluation)
        atomic_write(job.run.folder / "metrics.jsonl", metrics.to_lines(_rows(job, history or {}, chunk)))
        write_evaluation(job.run.folder, job.run.eval_episodes, table)
        checkpoints = Checkpoints(job.run.folder, 1, job.config_dict(), job.run.checkpoint_replay)
        checkpoints.save(last, state, chunk.score())
        checkpoints.close()
    return Result(job.run.folder, table, state, job.run, job.plan.steps(last), "finished")


def _over_seeds(state: TrainState, job: Job) -> TrainState:
    """Returns the state with a leading dimension of seeds.

    Raises:
      SettingError: it does not have the shapes of the job's states.
    """
    expected = job.programs.shapes(jax.eval_shape(job.keys), job.config)
    if jnp.ndim(state.keys) < expected.keys.ndim:
        state = jax.tree.map(lambda leaf: leaf[None], state)
    found, wanted = (dict(jax.tree.leaves_with_path(tree)) for tree in (state, expected))
    for path in found.keys() | wanted.keys():
        here, there = found.get(path), wanted.get(path)
        if here is None or there is None or (here.shape, here.dtype) != (there.shape, there.dtype):
            raise SettingError(
                f"state must be what `train` makes with these settings, and {jax.tree_util.keystr(path)} is "
                f"{_shown(here)}, not {_shown(there)}; config, loop, run.env and run.steps must be as in training."
            )
    return dataclasses.replace(state, hyperparams={})


def _shown(leaf: Any) -> str:
    return "missing" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"


def _rows(job: Job, history: Mapping[str, Any], chunk: ChunkResult) -> list[metrics.Row]:
    """Returns the rows of metrics.jsonl: one per chunk of `train`, of which the last one was evaluated.

    Raises:
      SettingError: the metrics are of another number of chunks or seeds.
    """
    bounds, seeds = job.plan.bounds[1:], job.run.seeds
    lists = {name: np.atleast_2d(np.asarray(values)) for name, values in history.items()}
    for name, values in lists.items():
        if values.shape != (seeds, len(bounds)):
            raise SettingError(
                f"history must have {len(bounds)} values for each of {seeds} seeds, and {name} is of shape "
                f"{list(values.shape)}; the chunks of `train` are the evaluations of a run."
            )
    rows = []
    for index, bound in enumerate(bounds):
        measured = {name: values[:, index] for name, values in lists.items()}
        evaluated = chunk.metrics if bound == bounds[-1] else {"eval_return": np.full(seeds, np.nan)}
        row = metrics.make_row(job.plan.steps(bound), job.plan.updates(bound), 0.0, 0.0, measured | evaluated)
        rows.append(row)
    return rows
