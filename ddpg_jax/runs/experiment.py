"""The host's side of a run: drive it chunk by chunk, write down what happened."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ddpg_jax.devices import multihost
from ddpg_jax.runs import metrics, figures, run_folder
from ddpg_jax.core.episodes import Evaluation
from ddpg_jax.runs.job import Job, plan_run
from ddpg_jax.runs.plan import Plan, RunConfig
from ddpg_jax.runs.saving import Checkpoints
from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.chunks import ChunkResult, run_chunks
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.types import TrainState, shown

Log = Callable[[str], None]
OnChunk = Callable[[dict[str, Any], Plan], None]


def unheard(row: dict[str, Any], plan: Plan) -> None:
    """Reports to nobody."""


def never() -> bool:
    """Goes on."""
    return False


class Result(NamedTuple):
    """What a run leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # per seed: seed, mean, std, min, max, length; where one diverged, also of what
    state: TrainState
    run: RunConfig
    steps: int  # environment steps per seed that it has done
    outcome: Literal["finished", "stopped", "halted"]  # stopped: asked to; halted: seeds diverged

    def __repr__(self) -> str:
        return shown(self, self.outcome, f"{self.steps:,} steps", f"seeds {_means(self.table)}", str(self.folder))


def _means(table: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['seed']}: " + ("-" if row["mean"] is None else f"{row['mean']:,.1f}") for row in table)


def summarize(run: RunConfig, result: Evaluation) -> list[dict[str, Any]]:
    """A row per seed: its number, and mean, spread and length of its episodes."""
    rows = []
    for i, returns in enumerate(np.asarray(result.returns, np.float64)):
        stats = {"mean": returns.mean(), "std": returns.std(), "min": returns.min(), "max": returns.max()}
        stats["length"] = np.asarray(result.lengths[i], np.float64).mean()
        rows.append({"seed": run.seed + i} | {name: metrics.number(value) for name, value in stats.items()})
    return rows


def run_experiment(
    algorithm: str,
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    log: Log = print,
    on_chunk: OnChunk = unheard,
    should_stop: Callable[[], bool] = never,
) -> Result:
    """Trains, evaluates and writes a run folder.

    Args:
      algorithm: a name of the registry.
      config, loop, run: the settings.
      log: told in words what happens next.
      on_chunk: given every row of metrics as it is written.
      should_stop: asked after each chunk whether to end the run there, with a checkpoint to go on from.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used; later, where the folder
        can no longer be written.
    """
    job = plan_run(algorithm, config, loop, run)
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(run_folder.new_run_folder(job.run.folder, run.overwrite)))
        if multihost.is_main():
            run_folder.write_config(job.run.folder, job.config_dict())
        log(job.describe())
        log("compiling")
        state = job.phases.start(job.keys(), config)
        return drive(job, state, job.plan.bounds, True, 0.0, log, on_chunk, should_stop)


def drive(
    job: Job,
    state: TrainState,
    bounds: Sequence[int],
    first: bool,
    seconds: float,
    log: Log,
    on_chunk: OnChunk,
    should_stop: Callable[[], bool],
) -> Result:
    """Trains and evaluates from bound to bound, with a row of metrics and perhaps a checkpoint after each chunk."""
    folder, run, plan = job.run.folder, job.run, job.plan
    began, diary = time.perf_counter() - seconds, _Diary(job, bounds[0], log)
    with ExitStack() as stack:
        checkpoints = Checkpoints(folder, run.keep_checkpoints, job.config_dict(), run.checkpoint_replay)
        stack.enter_context(closing(checkpoints))
        purge = None if first else plan.steps(bounds[0]) + 1
        writer = stack.enter_context(closing(_writer(job, purge))) if multihost.is_main() else None
        for stage in run_chunks(job.phases, state, job.keys(), job.config, bounds, first):
            vector_step = stage.vector_step
            row = metrics.row(plan.steps(vector_step), plan.updates(vector_step), time.perf_counter() - began, stage.measured)
            if writer:
                writer.write(row)
            on_chunk(row, plan)
            outcome = diary.outcome(stage, should_stop, vector_step == bounds[-1])
            if outcome or diary.due(vector_step):
                if writer:
                    writer.keep()
                checkpoints.save(vector_step, stage.state, stage.score())
                diary.saved(vector_step)
            if outcome:
                break
        log(f"writing {folder}")
    table = summarize(run, stage.result)
    if stage.diverged:
        words = {place: f"{what} at {plan.steps(vector_step):,} steps" for place, (vector_step, what) in stage.diverged.items()}
        table = [row | {"diverged": words.get(place)} for place, row in enumerate(table)]
    if multihost.is_main():
        run_folder.write_evaluation(folder, run.eval_episodes, table)
        figures.learning_curve(metrics.read(folder), f"{job.algorithm} on {job.env.spec.name}", folder / "curve.png")
    assert outcome
    return Result(folder, table, stage.state, run, plan.steps(stage.vector_step), outcome)


def _writer(job: Job, purge: int | None) -> metrics.Writer:
    """What writes the rows of a run; TensorBoard is to forget what an earlier process wrote from `purge` steps on."""
    folder, run = job.run.folder, job.run

    def sinks(seed):
        if run.tensorboard:
            yield metrics.board(folder, seed, purge)
        if run.wandb is not None:
            yield metrics.weights_and_biases(run.wandb, folder, seed, job.config_dict())

    return metrics.Writer(folder, [list(sinks(run.seed + place)) for place in range(run.seeds)])


class _Diary:
    """What a run has to remember between two chunks: the seeds that are known to be dead, and its last checkpoint."""

    def __init__(self, job: Job, vector_step: int, log: Log):
        self._job, self._announce = job, log
        self._known: set[int] = set()
        self.saved(vector_step)

    def saved(self, vector_step: int) -> None:
        """A checkpoint was written."""
        self._clock, self._time = vector_step, time.perf_counter()

    def due(self, vector_step: int) -> bool:
        """Whether the next one is."""
        run, plan = self._job.run, self._job.plan
        seconds, steps = run.checkpoint_seconds, run.checkpoint_steps
        late = seconds is not None and time.perf_counter() - self._time >= seconds
        return multihost.any_process(late or (steps is not None and plan.steps(vector_step) - plan.steps(self._clock) >= steps))

    def outcome(self, stage: ChunkResult, should_stop: Callable[[], bool], last: bool) -> Any:
        """How the run ends here, if it does; tells of seeds that have died."""
        run, plan = self._job.run, self._job.plan
        for place, (vector_step, what) in stage.diverged.items():
            if place not in self._known:
                self._announce(
                    f"seed {run.seed + place} diverged at {plan.steps(vector_step):,} steps: {what} is not finite; it keeps "
                    "the last finite policy from the end of a chunk, and counts no more"
                )
        self._known |= stage.diverged.keys()
        if len(stage.diverged) == run.seeds or (stage.diverged and run.halt_on_nan):
            return "halted"
        asked = multihost.any_process(should_stop())
        return "finished" if last else "stopped" if asked else None
