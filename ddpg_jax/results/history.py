"""What run folders say of their training: settings beside rows of metrics, and what happened to each seed.

A run keeps its rows in metrics.jsonl. A sweep keeps those of all its settings in curves.csv, and each setting counts as
a run of its own; the rows of its `best/` are found there, too.
"""

import ast
import csv
import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.metrics import number, read
from ddpg_jax.runs.plan import RunConfig, options_of
from ddpg_jax.runs.run_folder import read_config, rebuilt

X_AXES = {"steps", "updates", "seconds"}
Row = dict[str, Any]


class History(NamedTuple):
    """A run as far as it got."""

    folder: Path
    algorithm: str
    run: RunConfig
    loop: LoopConfig
    config: Any
    spec: Any
    raw: dict[str, Any]  # config.json as it stands there
    rows: list[Row]  # as in metrics.jsonl

    @property
    def seeds(self) -> list[int]:
        """The numbers of its seeds, as the lists of its rows have them."""
        return [self.run.seed + place for place in range(self.run.seeds)]

    def task(self) -> dict[str, Any]:
        """What is to be learned: the environment and its options."""
        return {"env": self.spec.name} | options_of(self.run)

    def settings(self) -> dict[str, Any]:
        """What decides how it is learned: all settings of the algorithm and the loop."""
        return vars(self.loop) | vars(self.config)


class Trace(NamedTuple):
    """A quantity of one seed, where it was measured."""

    seed: int
    x: np.ndarray  # [n], ascending
    y: np.ndarray  # [n], finite
    diverged_at: float | None  # the x of the first evaluation that it did not live to see
    end: float  # the x of the last row


def read_history(folder: str | Path) -> History:
    """A run folder; one whose run is going on or was cut off has the rows so far, perhaps none.

    Raises:
      SettingError: the folder holds no run of ours, or a line of its metrics is damaged.
    """
    path = Path(folder)
    said = read_config(path)
    run, loop = rebuilt(RunConfig, said["run"], path), rebuilt(LoopConfig, said["loop"], path)
    history = History(path, said["algorithm"], run, loop, said["config"], said["spec"], said["raw"], [])
    if (path / "metrics.jsonl").exists():
        return history._replace(rows=_complete(read(path, interrupted=True), history))
    own = [one for one in swept(history, path.parent / "curves.csv") if one.settings() == history.settings()]
    return history._replace(rows=own[-1].rows if own else [])


def histories(folder: str | Path) -> list[History]:
    """The run of a folder, or of a sweep's folder one for each setting.

    Raises:
      SettingError: the folder holds no run of ours, or nothing has been measured yet.
    """
    history = read_history(folder)
    found = [history] if history.rows else swept(history, history.folder / "curves.csv")
    if not found:
        raise SettingError(f"{folder} has no evaluation in metrics.jsonl yet, so that there is nothing to draw.")
    return found


def _complete(rows: list[Any], history: History) -> list[Row]:
    """The rows, if they are of this run."""
    for row in rows:
        lists = [value for value in row.values() if isinstance(value, list)] if isinstance(row, dict) else []
        if not lists or not row.keys() >= X_AXES or any(len(values) != history.run.seeds for values in lists):
            path = history.folder / "metrics.jsonl"
            raise SettingError(f"{path} must have a number for each of {history.run.seeds} seeds, as config.json says.")
    return rows


def swept(sweep: History, path: Path) -> list[History]:
    """The settings of a sweep, by the lines of its curves.csv; none where there is no such file."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if None not in line.values() and line["eval_length"]]
        by_setting = {int(line["setting"]): line for line in lines}
        return [
            _setting(sweep, point, [line for line in lines if int(line["setting"]) == at])
            for at, point in by_setting.items()
        ]
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise SettingError(f"{path} is damaged ({type(error).__name__}: {error}).") from None


def _setting(sweep: History, point: dict[str, str], lines: list[dict[str, str]]) -> History:
    """One setting of a sweep as a run; a line in which a seed is missing was never finished."""
    values = {name: _value(point[name]) for name in itertools.takewhile(lambda name: name != "seed", point)}
    loop, config = (
        dataclasses.replace(group, **{name: value for name, value in values.items() if name in vars(group)})
        for group in (sweep.loop, sweep.config)
    )
    rows = []
    for _, same in itertools.groupby(lines, key=lambda line: line["steps"]):
        seeds = list(same)
        clocks = {name: float(seeds[0][name]) for name in sorted(X_AXES)}
        lists = {name: [number(float(line[name])) for line in seeds] for name in ("eval_return", "eval_length")}
        rows += [clocks | lists] if len(seeds) == sweep.run.seeds else []
    return sweep._replace(loop=loop, config=config, rows=rows)


def _value(word: str) -> Any:
    """A value that csv wrote with str."""
    try:
        return None if word == "" else ast.literal_eval(word)
    except ValueError:
        return word


def quantities(rows: list[Row]) -> list[str]:
    """What was measured: the returns first, then by name."""
    names = {name for row in rows for name, value in row.items() if isinstance(value, list)}
    return sorted(
        names, key=lambda name: ("return" not in name, not name.startswith("eval"), "length" not in name, name)
    )


def diverged_seeds(history: History) -> dict[int, float]:
    """The seeds that diverged and the steps of their first evaluation that was not finite.

    metrics.jsonl says so by having nothing from then on; other gaps are quantities that a chunk had nothing to tell of.
    """
    return {
        trace.seed: trace.diverged_at
        for trace in traces(history, "steps", "eval_return")
        if trace.diverged_at is not None
    }


def traces(history: History, x: str, y: str) -> list[Trace]:
    """A quantity of every seed against a clock."""
    rows = history.rows
    clock = np.array([row[x] for row in rows], float)
    found = []
    for place, seed in enumerate(history.seeds):
        alive = [row.get("eval_return", [0.0] * history.run.seeds)[place] is not None for row in rows]
        dead = next((at for at in range(len(rows)) if not any(alive[at:])), None)
        values = np.array([(row.get(y) or {place: None})[place] for row in rows], float)
        here = np.isfinite(values)
        died = None if dead is None else float(clock[dead])
        found.append(Trace(seed, clock[here], values[here], died, float(clock[-1]) if rows else math.nan))
    return found
