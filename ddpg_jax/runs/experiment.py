"""The host's side of a run: train chunk by chunk, and write metrics, checkpoints and results."""

import functools
import math
import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import TrainState, short_repr
from ddpg_jax.devices import multihost
from ddpg_jax.devices.backend import refuse_exhaustion
from ddpg_jax.runs import figures, folders, metrics, run_folder, signals, sinks
from ddpg_jax.runs.checkpoint import Checkpoints, naming_resume
from ddpg_jax.runs.chunks import ChunkResult, run_chunks
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.dashboards import hyperparameters
from ddpg_jax.runs.evaluation import delete_evaluation, write_evaluation
from ddpg_jax.runs.monitor import Callbacks, CheckpointClock, Monitor
from ddpg_jax.runs.plan import Job, Plan, plan_run


class Result(NamedTuple):
    """What a run leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # a row per seed, as in evaluation.json
    state: TrainState
    run: RunConfig
    steps: int  # environment steps per seed so far
    outcome: Literal["finished", "stopped", "halted"]  # stopped: by `should_stop`; halted: because seeds diverged

    def __repr__(self) -> str:
        means = ((row["seed"], row["mean"]) for row in self.table)
        seeds = ", ".join(f"{seed}: " + ("-" if mean is None else f"{mean:,.1f}") for seed, mean in means)
        return short_repr(self, self.outcome, f"{self.steps:,} steps", f"seeds {seeds}", str(self.folder))


def summarize(run: RunConfig, evaluation: Evaluation) -> list[dict[str, Any]]:
    """Returns a row per seed; a number is None where it is not finite.

    A row has the seed's number, the mean of its returns and the standard error of the mean (None of one episode),
    their standard deviation, minimum and maximum, and the mean episode length.
    """
    rows = []
    for seed, returns, lengths in zip(run.seed_numbers(), evaluation.returns, evaluation.lengths, strict=True):
        returns, lengths = np.asarray(returns, np.float64), np.asarray(lengths, np.float64)
        std = returns.std()
        error = std / math.sqrt(len(returns) - 1) if len(returns) > 1 else math.nan
        stats = {"mean": returns.mean(), "standard_error": error, "std": std}
        stats |= {"min": returns.min(), "max": returns.max(), "length": lengths.mean()}
        rows.append({"seed": seed} | {name: metrics.finite_or_none(value) for name, value in stats.items()})
    return rows


def run_experiment(
    algorithm: Any,
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    log: Callable[[str], None] | None = print,
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Trains, evaluates and writes a run folder.

    Args:
      algorithm: its name, such as "ddpg"; a reference to one's own, such as "my_algo.py:ALGORITHM"; or an `Algorithm`.
      config, loop, run: the settings.
      log: called with a sentence about what happens next.
      on_chunk: called with every row of metrics as it is written, and the plan.
      should_stop: asked after each chunk; True ends the run there, with a checkpoint to resume from.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used; later, where the folder
        can no longer be written.
    """
    job, callbacks = plan_run(algorithm, config, loop, run), Callbacks(log, on_chunk, should_stop).guarded()
    multihost.refuse_differences(job.config_dict())
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(folders.new_run_folder(job.run.folder, run.overwrite)))
        stack.enter_context(refuse_exhaustion())
        if multihost.is_main():
            run_folder.write_config(job.run.folder, job.config_dict(), job.code)
        job.say_plan(callbacks.say)
        clock = Clock(callbacks.say)
        state = clock.start(job.programs, job.keys(), config)
        return train_job(job, state, job.plan.bounds, callbacks, clock)


def train_job(
    job: Job, state: TrainState, bounds: Sequence[int], callbacks: Callbacks, clock: Clock, first: bool = True
) -> Result:
    """Trains and evaluates from bound to bound, with a row of metrics and perhaps a checkpoint after each chunk.

    Args:
      state: of all seeds, at the vector step `bounds[0]`.
      clock: of the run.
      first: whether the run begins, and is not resumed.
    """
    folder, run, plan = job.run.folder, job.run, job.plan
    monitor, saves = Monitor(job, callbacks), CheckpointClock(run, plan.steps(bounds[0]))
    check_present = functools.partial(folders.check_present, folder, folders.identify(folder))
    with ExitStack() as stack:
        stack.enter_context(naming_resume(folder, check_present if multihost.is_main() else None))
        checkpoints = Checkpoints(folder, run.keep_checkpoints, job.config_dict(), run.checkpoint_replay)
        stack.enter_context(closing(checkpoints))
        purge = None if first else plan.steps(bounds[0]) + 1
        writer = stack.enter_context(closing(_writer(job, purge, callbacks.warn))) if multihost.is_main() else None
        for chunk in run_chunks(job.programs, state, job.keys(), job.config, bounds, first, clock):
            step = chunk.vector_step
            multihost.on_main(check_present)
            row = metrics.make_row(plan.steps(step), plan.updates(step), *clock.read(), chunk.metrics)
            if writer:
                writer.write(row)
            if row["updates"]:
                signals.end_at_chunk()
            monitor.show(row)
            outcome = monitor.outcome(chunk, last=step == bounds[-1])
            if outcome or saves.due(plan.steps(step)):
                if writer:
                    writer.sync()
                if outcome and multihost.is_main():  # before the last checkpoint, after which nothing is left to resume
                    write_evaluation(folder, run.eval_episodes, _table(job, chunk))
                elif multihost.is_main():  # that of a run which had ended here and is resumed is of another policy
                    delete_evaluation(folder)
                checkpoints.save(step, chunk.state, chunk.score())
                saves.saved(plan.steps(step))
                multihost.on_main(functools.partial(folders.delete_replaced, folder))
            if outcome:
                break
        multihost.on_main(check_present)
        callbacks.say(f"writing {folder}")
    assert outcome
    if multihost.is_main():
        _draw_curve(job)
    return Result(folder, _table(job, chunk), chunk.state, run, plan.steps(chunk.vector_step), outcome)


def _table(job: Job, chunk: ChunkResult) -> list[dict[str, Any]]:
    """Returns the rows of evaluation.json; where any seed has diverged, a row says what of its own was not finite."""
    table = summarize(job.run, chunk.evaluation)
    if not chunk.diverged:
        return table
    causes = {seed: f"{what} at {job.plan.steps(step):,} steps" for seed, (step, what) in chunk.diverged.items()}
    return [row | {"diverged": causes.get(index)} for index, row in enumerate(table)]


def _draw_curve(job: Job) -> None:
    folder = job.run.folder
    rows = metrics.read_rows(folder / "metrics.jsonl", job.run.seeds)
    try:
        figures.learning_curve(rows, job.title, folder / "curve.png")
    except SettingError as error:
        left = f"all else of the run is written, and `ddpg-jax plot {shlex.quote(str(folder))}` draws it"
        raise SettingError(f"{str(error).rstrip('.')}; {left}.") from None


def _writer(job: Job, purge_step: int | None, warn: Callable[[str], None]) -> sinks.Writer:
    """Returns the writer of a run's metrics; TensorBoard drops what an earlier process wrote from `purge_step` on."""
    folder, run = job.run.folder, job.run
    found = {}
    if run.tensorboard:
        names = [f"seed{seed}" for seed in run.seed_numbers()] + ["mean"] * (run.seeds > 1)
        settings = hyperparameters(job.config_dict())
        found["TensorBoard"] = [
            functools.partial(sinks.tensorboard, folder, name, purge_step, settings | {"curve": name}) for name in names
        ]
    if run.wandb is not None:
        found["Weights & Biases"] = [
            functools.partial(sinks.weights_and_biases, run.wandb, folder, seed, job.config_dict())
            for seed in run.seed_numbers()
        ]
    return sinks.Writer(folder, found, warn)
