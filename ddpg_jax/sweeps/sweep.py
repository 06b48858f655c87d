"""Trains many trials in one program, batched together with their seeds."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from ddpg_jax.core.loop import LoopConfig, fitted_replay
from ddpg_jax.core.settings import SettingError, plain, shown
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices import multihost
from ddpg_jax.devices.backend import memory_limit, refuse_exhaustion
from ddpg_jax.runs import folders, run_folder
from ddpg_jax.runs.checkpoint import naming_resume
from ddpg_jax.runs.clock import Clock
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.monitor import Callbacks
from ddpg_jax.runs.named import Named, name_algorithm, name_env, open_env
from ddpg_jax.runs.own_code import codes_of
from ddpg_jax.runs.plan import Plan, check_config, check_pairs, counted, make_plan, run_folder_of
from ddpg_jax.runs.programs import make_programs, seed_keys
from ddpg_jax.runs.run_memory import run_memory
from ddpg_jax.sweeps.curves import CURVES, CurveWriter, check_sweep_present, keep_lines
from ddpg_jax.sweeps.files import write_best, write_tables
from ddpg_jax.sweeps.progress import Keeper, Progress
from ddpg_jax.sweeps.search_space import (
    CompileGroup,
    Trial,
    applied,
    check_count_of_trials,
    compile_groups,
    refuse_duplicates,
)
from ddpg_jax.sweeps.task import DIVERGED, Part, Task
from ddpg_jax.sweeps.training import perturbable, sweep_layout, train_part

UNUSED = ("checkpoint_replay", "keep_checkpoints", "halt_on_nan")  # settings of a run that a sweep has no use for


class SweepResult(NamedTuple):
    """What a sweep leaves in memory; the same is in its folder."""

    folder: Path
    table: list[dict[str, Any]]  # a row per trial: its index, its values, steps, iqm, low, high; the best first
    best: Trial | None  # None where the sweep was stopped, or where a seed of every trial has diverged
    outcome: Literal["finished", "stopped", "halted"] = "finished"  # halted: seeds of all trials diverged


def sweep(
    algorithm: Any,
    trials: Sequence[Trial],
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    halving: int = 0,
    pbt: bool = False,
    log: Callable[[str], None] | None = print,
    on_chunk: Callable[[dict[str, Any], Plan], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SweepResult:
    """Trains `run.seeds` seeds of every trial and writes a folder with tables, a figure and the best policies.

    Traced settings vary within one program; each combination of static settings is a program of its own. Trials that
    would not fit in memory together are trained in the fewest equal parts. A given seed uses the same random key in
    every trial.

    Args:
      algorithm: as for `run_experiment`.
      trials: the settings to try, as `grid` or `sampled` make them: name -> value, of `config` or of `loop`.
      config, loop, run: settings shared by all trials.
      halving: number of times, evenly spaced, that the worse half of the trials that are trained together is stopped
        (successive halving, Jamieson and Talwalkar 2016). A trial with a seed that is not finite counts as the worst.
      pbt: whether trials that are stopped are replaced by copies of the better half, networks and replay included, with
        perturbed settings (population based training, Jaderberg et al. 2017); each copy is a trial of its own.
      log, on_chunk, should_stop: as for `run_experiment`; rows hold a value per trial and seed, all seeds of the first
        trial first. `resume_sweep` resumes a sweep that was stopped.

    Raises:
      SettingError: before anything is compiled or written, where a setting cannot be used.
    """
    callbacks = Callbacks(log, on_chunk, should_stop).guarded()
    task = _checked(algorithm, trials, config, loop, run, halving, pbt)
    groups = compile_groups(task.trials, config, loop)
    refuse_duplicates(task.trials)
    for trial in task.trials:
        check_pairs(*applied(trial, task.config, task.loop))
    parts = [part for group in groups for part in plan_parts(task.algorithm, group, task.run, task.env)]
    for part in parts:
        _check_rungs(task, part)
    chunks = min(len(part.plan.bounds) for part in parts) - 1
    if halving >= chunks:
        raise SettingError(f"halving must be below the {chunks} chunks of the run (steps, evaluations), not {halving}.")
    _check_stops(task, parts)
    describe(parts, run, callbacks)
    folder, contents = task.run.folder, sweep_contents(task, parts)
    multihost.refuse_differences(contents)
    with ExitStack() as stack:
        multihost.on_main(lambda: stack.enter_context(folders.new_run_folder(folder, run.overwrite)))
        if multihost.is_main():
            run_folder.write_config(folder, contents, task.code)
            (folder / CURVES).touch()
        return train_parts(task, parts, contents, Progress(), callbacks)


def describe(parts: Sequence[Part], run: RunConfig, callbacks: Callbacks) -> None:
    """Logs a line per part."""
    for number, part in enumerate(parts, 1):
        size = len(part.group.indices)
        where = part.layout.describe(size * run.seeds)
        members = f"{counted(size, 'trial')} x {counted(run.seeds, 'seed')}{where}"
        callbacks.say(f"part {number} of {len(parts)}: {members}; {part.plan.describe()}")
        for note in part.plan.notes:
            callbacks.say(note)


def sweep_contents(task: Task, parts: Sequence[Part]) -> dict[str, Any]:
    """Returns the contents of config.json: those of a run, and what is tried and how."""
    settings = (task.run, task.loop, task.config, task.env.spec)
    contents = run_folder.config_dict(task.algorithm.name, *settings, "sweep", task.code)
    indices = [[int(index) for index in part.group.indices] for part in parts]
    own = {"trials": task.trials, "parts": indices, "halving": task.halving, "pbt": task.pbt}
    return contents | {"sweep": json.loads(json.dumps(own))}  # a copy, since more trials may join those of the task


def _checked(
    algorithm: Any, trials: Sequence[Trial], config: Any, loop: LoopConfig, run: RunConfig, halving: int, pbt: bool
) -> Task:
    """Returns the task of a sweep whose settings can be used."""
    config, loop, run = plain(config), plain(loop), plain(run)
    check_count_of_trials("trials", len(trials))
    if not trials or not trials[0]:
        raise SettingError("trials must name at least one setting to try.")
    if not 0 <= halving < run.evaluations:
        raise SettingError(
            f"halving must be from 0 to one less than evaluations ({run.evaluations}), not {shown(halving)}."
        )
    if pbt and not halving:
        raise SettingError("pbt must be given together with halving, which says how often trials are replaced.")
    if run.wandb is not None:
        raise SettingError(f"wandb must be None for a sweep, whose curves are in {CURVES}, not {run.wandb!r}.")
    for name in UNUSED:
        value, default = getattr(run, name), RunConfig.__dataclass_fields__[name].default
        if value != default:
            raise SettingError(f"{name} must be {default} for a sweep, where it has no effect, not {value}.")
    named, wanted = name_algorithm(algorithm), name_env(run.env)
    check_config(named, config)
    run, env = dataclasses.replace(run, env=wanted.name), open_env(wanted, run)
    run = dataclasses.replace(run, out=run_folder_of(named, run, "runs/sweep-"))
    values = [{name: getattr(value, "item", lambda v=value: v)() for name, value in trial.items()} for trial in trials]
    return Task(named, values, {}, config, loop, run, env, halving, pbt, codes_of(named, wanted))


def _check_stops(task: Task, parts: Sequence[Part]) -> None:
    """Checks that halving stops a trial and that population based training changes one.

    Raises:
      SettingError: no part has two trials, or no copy of a trial would differ from it.
    """
    halved = [part.group for part in parts if len(part.group.indices) > 1]
    if task.halving and not halved:
        raise SettingError(
            f"halving must be 0 where no two trials are trained together, not {task.halving}: trials that differ in a "
            "static setting are not, nor are those that do not fit in memory together."
        )
    if task.pbt and not any(map(perturbable, halved)):
        raise SettingError(
            "pbt must be False where trials differ in no traced setting that has an effect after the start, not True: "
            "a copy would be the same as its parent."
        )


def _check_rungs(task: Task, part: Part) -> None:
    """Checks that the trials which halving leaves are sharded as all of them are, since their replays stay in place.

    Raises:
      SettingError: after a halving, the devices would share an agent otherwise than before.
    """
    size, seeds = len(part.group.indices), task.run.seeds
    for _ in range(0 if task.pbt else task.halving):
        size -= size // 2
        left = f"with {counted(size, 'trial')} x {counted(seeds, 'seed')} left after a halving"
        try:
            _, layout = sweep_layout(part.group, task.run, size * seeds, task.env)
        except SettingError as error:
            raise SettingError(f"{left}: {error}") from None
        if layout.data_shards != part.layout.data_shards:
            raise SettingError(
                f"devices must leave each agent on as many when trials are halved, not {task.run.devices}: it is on "
                f"{part.layout.data_shards}, and {left} it would be on {layout.data_shards}."
            )


def train_parts(
    task: Task,
    parts: Sequence[Part],
    contents: dict[str, Any],
    progress: Progress,
    callbacks: Callbacks,
    state: TrainState | None = None,
) -> SweepResult:
    """Trains part after part from where the progress says, and writes the results.

    Args:
      state: of the trials in training, where the progress is within a part.
    """
    folder = task.run.folder
    spent = keep_lines(folder, progress.lines, task.run.seeds) if multihost.is_main() else (0.0, 0.0)
    identities = folders.identify(folder), folders.identify(folder / CURVES)
    check_present = functools.partial(check_sweep_present, folder, *identities)
    with ExitStack() as stack:
        stack.enter_context(naming_resume(folder, check_present if multihost.is_main() else None, "sweep"))
        stack.enter_context(refuse_exhaustion())
        file = stack.enter_context((folder / CURVES if multihost.is_main() else Path(os.devnull)).open("ab"))
        clock = Clock(callbacks.say, *spent)
        writer = CurveWriter(file, task, callbacks.on_chunk, clock, check_present, progress.lines)
        keeper = stack.enter_context(closing(Keeper(task, contents, writer, callbacks, progress)))
        for number, part in list(enumerate(parts, 1))[progress.parts :]:
            callbacks.say(f"training part {number} of {len(parts)}")
            trained = train_part(task, part, writer, keeper, state)
            state = None  # whose arrays are no longer needed
            if trained is None:
                return SweepResult(folder, [], None, "stopped")
            best, result = keeper.progress.best, keeper.progress.ended[-1]
            if result.interval() > (best.interval() if best else DIVERGED):
                best = result
                writer.check_present()
                write_best(task, best, part, trained, callbacks.say)
            keeper.finish_part(keeper.progress._replace(parts=number, best=best))
            if number < len(parts) and keeper.stopping():
                return SweepResult(folder, [], None, "stopped")
        writer.check_present()
    callbacks.say(f"writing {folder}")
    table, best = write_tables(task, list(keeper.progress.ended)), keeper.progress.best
    return SweepResult(folder, table, task.trials[best.trial]) if best else SweepResult(folder, table, None, "halted")


def plan_parts(algorithm: Named, group: CompileGroup, run: RunConfig, env: Env) -> Iterator[Part]:
    """Yields the fewest equal parts of a group that fit in memory.

    Raises:
      SettingError: even the seeds of one trial do not fit, or no step is left after the warm-up.
    """
    group = _fitted(group, run)
    one = make_programs(env, algorithm, group.loop, run.eval_episodes)
    shapes = one.shapes(jax.eval_shape(lambda: seed_keys(run)), group.config)

    def fits(trials: int) -> bool:
        try:
            all_seeds, layout = sweep_layout(group, run, trials * run.seeds, env)
        except SettingError:
            return False  # so many cannot be sharded over the devices
        memory = run_memory(shapes, env.spec, group.config, group.loop, all_seeds, layout)
        return memory.bytes <= memory_limit(layout.devices)

    most = next((size for size in range(len(group.indices), 1, -1) if fits(size)), 1)
    for picked in group.split(most):
        yield plan_part(algorithm, picked, run, env)


def plan_part(algorithm: Named, group: CompileGroup, run: RunConfig, env: Env) -> Part:
    """Plans the trials of a group as one part; errors as for `plan_parts`."""
    group = _fitted(group, run)
    all_seeds, layout = sweep_layout(group, run, len(group.indices) * run.seeds, env)
    programs = make_programs(env, algorithm, group.loop, run.eval_episodes, layout)
    return Part(group, layout, make_plan(env, programs, group.config, group.loop, all_seeds, layout))


def _fitted(group: CompileGroup, run: RunConfig) -> CompileGroup:
    """Returns the group with a replay no larger than the run can fill."""
    return group._replace(loop=fitted_replay(group.loop, run.steps))
