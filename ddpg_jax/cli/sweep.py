"""`ddpg-jax sweep`: which settings to try, and a table of the results."""

import dataclasses
import functools
import itertools
import shlex
from collections.abc import Callable
from typing import Annotated, Any

import tyro
from rich.table import Table
from typing_extensions import Doc

from ddpg_jax.cli.console import print_error, print_line, table
from ddpg_jax.cli.settings import Processes, Settings
from ddpg_jax.cli.train import BEFORE_TRAINING, EXIT_CODES, prepare_for, run_displayed
from ddpg_jax.core.settings import SettingError, check, check_count
from ddpg_jax.runs.signals import Stop
from ddpg_jax.runs.statistics import Interval
from ddpg_jax.sweeps.search_space import Range, Trial, check_count_of_trials, grid, read, sampled

SHOWN = 20  # trials in the printed table
RESULT = ("trial", "steps", *Interval._fields)  # columns of the table that are no settings


@dataclasses.dataclass(frozen=True)
class Search:
    """What to try. A trial is a combination of settings: one value of each --grid, and one draw of each --range."""

    grid: Annotated[
        tuple[tuple[str, ...], ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="NAME VALUE ..."),
        Doc("a setting of the algorithm or the loop and the values to try; a tuple is written 64,64"),
    ] = ()
    range: Annotated[
        tuple[tuple[str, str, float, float], ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="NAME log|uniform LOW HIGH"),
        Doc("a setting drawn at random, uniformly or log-uniformly"),
    ] = ()
    sample: Annotated[int | None, Doc("number of random draws, each of a value from every range")] = None
    sample_seed: Annotated[int, Doc("seed of those draws")] = 0
    halving: Annotated[
        int,
        Doc(
            "number of times, evenly spaced, that the worse half of the trials that are trained together is stopped "
            "(successive halving)"
        ),
    ] = 0
    pbt: Annotated[
        bool,
        Doc("with --halving: replace stopped trials by perturbed copies of better ones (population based training)"),
    ] = False

    def trials(self, groups: tuple[Any, ...]) -> list[Trial]:
        """The trials, of these groups of settings.

        Raises:
          SettingError: nothing to try, a name twice, or a name or value that cannot be used.
        """
        if not all(self.grid):
            raise SettingError("grid must be followed by the name of a setting and the values to try.")
        axes = [read(name, words, groups) for name, *words in self.grid]
        ranges = {read(name, (), groups)[0]: Range(scale, low, high) for name, scale, low, high in self.range}  # type: ignore[arg-type]
        names = [name for name, _ in axes] + list(ranges)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice or len(ranges) < len(self.range):
            raise SettingError(f"grid and range must name a setting once, not {twice or 'one of the ranges'} twice.")
        empty = next((name for name, values in axes if not values), None)
        if empty or not names:
            raise SettingError(f"grid must give values to try, and there are none{f' for {empty}' if empty else ''}.")
        if (self.sample is None) != (not ranges):
            raise SettingError("sample and range must be given together: how many draws, and of what.")
        if self.sample is not None:
            check_count("sample", self.sample)
        drawn = sampled(self.sample, ranges, self.sample_seed) if self.sample else [{}]
        combined = grid(dict(axes))
        check_count_of_trials("grid with sample", len(drawn) * len(combined))
        return [draw | trial for draw, trial in itertools.product(drawn, combined)]


def sweep(settings: Settings) -> int:
    """Train many trials (combinations of settings) and rank them."""
    from ddpg_jax.sweeps import sweep as sweeps

    algorithm, config, loop, run, processes, search = settings
    trials = search.trials((config, loop))
    prepare_for(check(run).replace(seeds=run.seeds * len(trials)), loop, config, processes)
    return run_to_end(
        processes,
        run.seeds,
        functools.partial(sweeps.sweep, algorithm, trials, config, loop, run, search.halving, search.pbt),
    )


def trials_table(rows: list[dict[str, Any]], seeds: int) -> Table:
    """A line per trial, with its settings in full, as they are given again; a single seed has no interval."""
    title = f"interquartile mean of {seeds} seeds, 95% interval" if seeds > 1 else "evaluation return of 1 seed"
    heads = [name for name in rows[0] if seeds > 1 or name not in ("low", "high")]
    return table(title, heads, ([row[name] if name in RESULT else str(row[name]) for name in heads] for row in rows))


def run_to_end(processes: Processes, seeds: int, experiment: Callable[..., Any]) -> int:
    """Runs a sweep until it ends or is asked to, prints its table and returns the exit code."""
    is_main = processes.join()  # before signals are handled here: JAX's runtime would replace the handlers
    with Stop(print_error, BEFORE_TRAINING) as stop:
        swept, out = run_displayed(processes, is_main, functools.partial(experiment, should_stop=stop))
    if swept.outcome == "stopped":
        print_line(f"stopped; `ddpg-jax sweep --resume {shlex.quote(str(swept.folder))}` resumes the sweep", out)
        return EXIT_CODES["stopped"]
    out.print(trials_table(swept.table[:SHOWN], seeds))
    if len(swept.table) > SHOWN:
        print_line(f"and {len(swept.table) - SHOWN} more in sweep.csv", out)
    print_line(f"{swept.folder}: sweep.csv, curves.jsonl, sweep.png{', best (a run folder)' * bool(swept.best)}", out)
    if swept.outcome == "halted":
        print_line("a seed of every trial that was trained to the end diverged, so there is no best trial", out)
    return EXIT_CODES[swept.outcome]
