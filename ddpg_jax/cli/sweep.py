"""What `ddpg-jax sweep` asks for beside the settings of a run, and what it prints."""

import dataclasses
import functools
import itertools
import math
from typing import Annotated, Any

import tyro
from rich.table import Table
from typing_extensions import Doc

from ddpg_jax.cli.display import short
from ddpg_jax.cli.train import Hosts, prepare_for, together
from ddpg_jax.core.settings import SettingError, check, count
from ddpg_jax.sweeps.search_space import Range, Trial, grid, read, sampled

SHOWN = 20  # settings in the printed table


@dataclasses.dataclass(frozen=True)
class Search:
    """Which settings to try: every value of --grid, combined with each draw of --range."""

    grid: Annotated[
        tuple[tuple[str, ...], ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(metavar="NAME VALUE ..."),
        Doc("a setting of the algorithm or the loop and its values; a tuple is written 64,64"),
    ] = ()
    ranges: Annotated[
        tuple[tuple[str, str, float, float], ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(name="range", metavar="NAME log|uniform LOW HIGH"),
        Doc("a number drawn at random, evenly or evenly in its logarithm"),
    ] = ()
    sample: Annotated[int | None, Doc("how many random draws of all ranges together")] = None
    sample_seed: Annotated[int, Doc("seed of those draws")] = 0
    halving: Annotated[int, Doc("how many times, evenly over the run, the worse half of the settings ends")] = 0
    pbt: Annotated[
        bool, Doc("with halving: their places go to copies of the better half, with their numbers perturbed")
    ] = False
    others: Hosts = dataclasses.field(default_factory=Hosts)

    def trials(self, groups: tuple[Any, ...]) -> list[Trial]:
        """The settings to try, of these groups of settings.

        Raises:
          SettingError: nothing to try, a name twice, or a name or value that cannot be used.
        """
        axes = [read(name, words, groups) for name, *words in self.grid]
        ranges = {read(name, (), groups)[0]: Range(scale, low, high) for name, scale, low, high in self.ranges}  # type: ignore[arg-type]
        names = [name for name, _ in axes] + list(ranges)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice or len(ranges) < len(self.ranges):
            raise SettingError(f"grid and range must name a setting once, not {twice or 'one of the ranges'} twice.")
        empty = next((name for name, values in axes if not values), None)
        if empty or not names:
            raise SettingError(f"grid must give values to try, and there are none{f' for {empty}' if empty else ''}.")
        if (self.sample is None) != (not ranges):
            raise SettingError("sample and range must be given together: how many draws, and of what.")
        if self.sample is not None:
            count("sample", self.sample)
        drawn = sampled(self.sample, ranges, self.sample_seed) if self.sample else [{}]
        return [draw | trial for draw, trial in itertools.product(drawn, grid(dict(axes)))]


def run_sweep(name: str, search: Search, run: Any, loop: Any, config: Any) -> None:
    """Sweeps and prints the table."""
    from ddpg_jax.sweeps.sweep import sweep

    trials = search.trials((config, loop))
    prepare_for(check(run).replace(seeds=run.seeds * len(trials)), loop, config, search.others)
    experiment = functools.partial(sweep, name, trials, config, loop, run, search.halving, search.pbt)
    swept, console = together(search.others, search.others.join(), experiment)
    table = Table(title=f"interquartile mean of {run.seeds} seed(s), 95% interval")
    for head in swept.table[0]:
        table.add_column(head, justify="right")
    for row in swept.table[:SHOWN]:
        table.add_row(*map(_cell, row.values()))
    console.print(table)
    if len(swept.table) > SHOWN:
        console.print(f"and {len(swept.table) - SHOWN} more in sweep.csv")
    console.print(f"{swept.folder}: sweep.csv, curves.jsonl, sweep.png, best (a run folder)")


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if not math.isfinite(value):
        return "not finite"
    return short(value)
