"""The trials of a sweep: grids, random samples, and their division into programs."""

import contextlib
import dataclasses
import difflib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_origin, get_type_hints

import numpy as np

from ddpg_jax.core.settings import FLOAT32, INT32, SHOWN, SettingError, check, check_count, is_traced, kind_of, shown
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.json_values import Value

Trial = dict[str, Any]  # name of a setting -> its value
MOST_TRIALS = 100_000  # of one sweep, each of which is in memory
NEAR = 0.6  # how alike two names must be, as difflib counts it, for one to be a slip of the other
REDRAWS = 20  # of a perturbed trial that leaves bounds


def grid(axes: Mapping[str, Iterable[Any]]) -> list[Trial]:
    """Returns every combination of the values of each setting; the last setting varies fastest.

    Raises:
      SettingError: there are more than `MOST_TRIALS`.
    """
    lists = [list(values) for values in axes.values()]
    check_count_of_trials("grid", math.prod(len(values) for values in lists))
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*lists)]


class Range(NamedTuple):
    """Numbers from `low` to `high`, drawn uniformly (`uniform`) or uniformly in their logarithm (`log`)."""

    scale: Literal["log", "uniform"]
    low: float
    high: float


def sampled(count: int, ranges: Mapping[str, Range], seed: int = 0) -> list[Trial]:
    """Returns `count` random trials, each number drawn from its range independently of the others.

    Raises:
      SettingError: a range that cannot be drawn from, or more than `MOST_TRIALS`.
    """
    check_count("sample", count)
    check_count_of_trials("sample", count)
    if not isinstance(seed, int) or not 0 <= seed <= INT32:
        raise SettingError(f"sample_seed must be from 0 to {INT32:,}, not {shown(seed)}.")
    for name, (scale, low, high) in ranges.items():
        if scale not in ("log", "uniform"):
            raise SettingError(f"range of {name} must be log or uniform, not {shown(scale)}.")
        finite = all(abs(end) <= FLOAT32 for end in (low, high))  # false of NaN, too
        if not (finite and low <= high and (low > 0 or scale == "uniform")):
            above = " above 0" if scale == "log" else ""
            raise SettingError(f"range of {name} must go from a lower to a higher number{above}, not {low} to {high}.")
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, (scale, low, high) in ranges.items():
        ends = (math.log(low), math.log(high)) if scale == "log" else (low, high)
        values = rng.uniform(*ends, count)
        drawn[name] = (np.exp(values) if scale == "log" else values).tolist()
    return [dict(zip(drawn, values, strict=True)) for values in zip(*drawn.values(), strict=True)]


def check_count_of_trials(name: str, count: int) -> None:
    """Checks that there are not too many trials.

    Args:
      name: what makes them, "grid" or "sample".
      count: how many there are.

    Raises:
      SettingError: there are more than `MOST_TRIALS`.
    """
    if count > MOST_TRIALS:
        raise SettingError(f"{name} must make at most {MOST_TRIALS:,} trials, not {shown(count)}.")


def refuse_duplicates(trials: Sequence[Trial]) -> None:
    """Checks that no two trials are the same on the device, where floats are in float32.

    Raises:
      SettingError: two trials are; the message names them by their index and their values.
    """
    found: dict[Any, int] = {}
    for index, trial in enumerate(trials):
        first = found.setdefault(on_device(trial), index)
        if first != index:
            values = ", ".join(f"{name} {value}" for name, value in trial.items())
            raise SettingError(f"trials must differ, and trials {first} and {index} are the same: {shown(values)}.")


def on_device(trial: Trial) -> tuple[tuple[str, Any], ...]:
    """Returns what trials are compared by: the settings by their names, floats in float32."""
    return tuple(
        (name, float(np.float32(value)) if isinstance(value, float) else value) for name, value in sorted(trial.items())
    )


def read(name: str, words: Sequence[str], groups: Sequence[Any]) -> tuple[str, list[Any]]:
    """Returns a setting and its values from the words of a command line; a tuple is written 64,64.

    Raises:
      SettingError: there is no such setting, or a word is no value of its kind.
    """
    name = name.replace("-", "_")
    group = _owner(name, groups)
    hint = get_type_hints(type(group))[name]
    return name, [_value(name, word, hint) for word in words]


def _owner(name: str, groups: Sequence[Any]) -> Any:
    """Returns the group of settings that has this one."""
    for group in groups:
        if name in type(group).__dataclass_fields__:
            return group
    known = [known for group in groups for known in type(group).__dataclass_fields__]
    near = [] if name in RunConfig.__dataclass_fields__ else difflib.get_close_matches(name[:SHOWN], known, 1, NEAR)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise SettingError(f"grid must name settings of the algorithm or the loop, and {name[:SHOWN]} is not one{hint}")


def _value(name: str, word: str, hint: Any) -> Any:
    """Returns a word as the kind of value that the setting has; whether it is allowed is for `check` to say."""
    kind = kind_of(hint)
    if word.lower() == "none" and kind is not hint:
        return None
    if kind is str or get_origin(kind) is Literal:
        return word
    try:
        if get_origin(kind) is tuple:
            return tuple(json.loads(f"[{word}]"))
        return kind(word) if kind in (int, float) else json.loads(word.lower())
    except (ValueError, RecursionError):
        what = {int: "whole numbers", float: "numbers", bool: "True or False"}.get(kind, "whole numbers, as in 64,64")
        raise SettingError(f"{name} must be {what}, not {shown(word)}.") from None


class CompileGroup(NamedTuple):
    """Trials of one program, which differ in traced settings alone."""

    config: Any
    loop: Any
    indices: tuple[int, ...]  # of its trials
    hyperparams: dict[str, np.ndarray]  # [len(indices)] float32

    def split(self, most: int) -> "list[CompileGroup]":
        """Returns the fewest parts of at most `most` trials, as equal in size as possible."""
        return [self.pick(part) for part in np.array_split(self.indices, -(-len(self.indices) // most))]

    def pick(self, indices: Iterable[int]) -> "CompileGroup":
        """Returns the group of these of its trials."""
        places = [self.indices.index(index) for index in indices]
        return self._replace(
            indices=tuple(self.indices[at] for at in places),
            hyperparams={name: values[places] for name, values in self.hyperparams.items()},
        )


def applied(trial: Trial, config: Any, loop: Any) -> tuple[Any, Any]:
    """Returns the settings of the algorithm and of the loop with the values of a trial.

    Raises:
      SettingError: a name that is no setting, or a value that is not allowed.
    """
    owners = {name: _owner(name, (config, loop)) for name in trial}
    config, loop = (
        dataclasses.replace(group, **{name: value for name, value in trial.items() if owners[name] is group})
        for group in (config, loop)
    )
    return check(config), check(loop)


def read_trial(value: Value, config: Any, loop: Any) -> Trial:
    """Returns a trial that was written as JSON.

    Raises:
      SettingError: it names a setting that there is not, or a value that is not allowed; the message names the place.
    """
    fields = value.fields()
    try:
        kinds = {name: type(_owner(name, (config, loop))) for name in fields}
        trial = {name: field.setting(kinds[name]) for name, field in fields.items()}
        applied(trial, config, loop)
    except SettingError as error:
        raise SettingError(str(error) if str(value.file) in str(error) else f"{value.file}: {error}") from None
    return trial


def perturbed(trial: Trial, names: Sequence[str], config: Any, rng: np.random.Generator) -> Trial:
    """Returns the trial with each of these numbers multiplied by 0.8 or 1.25, within bounds (Jaderberg et al. 2017).

    Where bounds are each other's values and no draw keeps them, the trial stays as it is.
    """
    for _ in range(REDRAWS):
        moved = dict(trial)
        for name in names:
            moved[name] = _within(config, name, trial[name] * rng.choice([0.8, 1.25]))
        with contextlib.suppress(SettingError):  # bounds that are other settings may have been crossed
            check(dataclasses.replace(config, **{name: moved[name] for name in names}))
            return moved
    return dict(trial)


def _within(config: Any, name: str, value: float) -> float:
    """Returns the number, or the bound of the setting that it lies beyond."""
    limits = config.__dataclass_fields__[name].metadata
    low, high = limits["low"], limits["high"]
    low = -FLOAT32 if low is None or isinstance(low, str) else low
    return float(np.clip(value, low, FLOAT32 if high is None else high))


def compile_groups(trials: Sequence[Trial], config: Any, loop: Any) -> list[CompileGroup]:
    """Returns the programs that a sweep needs: a group per combination of values of static settings.

    Raises:
      SettingError: a name that is no setting, a value that is not allowed, or trials that name different settings.
    """
    found: dict[Any, list[int]] = {}
    hyperparams = []
    for index, trial in enumerate(trials):
        if trial.keys() != trials[0].keys():
            raise SettingError(f"trials must all name the same settings, not {sorted(trials[0])} and {sorted(trial)}.")
        mine, _ = applied(trial, config, loop)
        leaves = {name for name in trial if name in type(mine).__dataclass_fields__ and is_traced(type(mine), name)}
        hyperparams.append({name: value for name, value in trial.items() if name in leaves and value is not None})
        shape = tuple((name, value) for name, value in trial.items() if name not in hyperparams[-1])
        found.setdefault(shape, []).append(index)
    return [
        CompileGroup(
            *applied(trials[indices[0]], config, loop),
            tuple(indices),
            {name: np.array([hyperparams[at][name] for at in indices], np.float32) for name in hyperparams[indices[0]]},
        )
        for indices in found.values()
    ]
