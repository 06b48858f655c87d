"""What TensorBoard and Weights & Biases are shown: tags in the groups that their users know, rates, hyperparameters."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ddpg_jax.runs.metrics import Row
from ddpg_jax.runs.pace import rates

# How the name of a quantity begins -> how its tag does. A slash in the rest of the name becomes an underscore.
GROUPS = {"eval_": "eval/", "episode_": "rollout/", "noise_": "rollout/noise_"}
HPARAMS = ("run", "loop", "config")  # the parts of config.json whose settings are hyperparameters
METRICS = ("eval/return",)  # by which TensorBoard's HPARAMS tab compares runs


def tag(name: str) -> str:
    """Returns the tag of a quantity: eval/return, rollout/length, train/critic_loss, ..."""
    for begin, group in GROUPS.items():
        if name.startswith(begin):
            return group + name.removeprefix(begin)
    return f"train/{name.replace('/', '_')}"


def values_of_seeds(row: Row, previous: Row | None) -> list[dict[str, float]]:
    """Returns what is shown of a row: for each seed its quantities by their tags, and last the mean of the seeds.

    Each has the group "time" as well: seconds and compile_seconds of the run, updates per seed, and, after the first
    row, steps_per_second and updates_per_second of all seeds together, without compilation.
    """
    lists = {name: values for name, values in row.items() if isinstance(values, list)}
    seeds = range(max(map(len, lists.values()), default=0))
    found = [{tag(name): values[at] for name, values in lists.items() if values[at] is not None} for at in seeds]
    names = dict.fromkeys(name for one in found for name in one)
    mean = {name: fmean(one[name] for one in found if name in one) for name in names}
    time = {f"time/{name}": float(row[name]) for name in ("seconds", "compile_seconds", "updates") if name in row}
    if previous is not None:
        time |= dict(zip(("time/steps_per_second", "time/updates_per_second"), rates(row, previous), strict=True))
    return [one | time for one in (*found, mean)]


def hyperparameters(contents: Mapping[str, Any]) -> dict[str, bool | str | float]:
    """Returns the settings in the contents of a config.json as TensorBoard's HPARAMS tab takes them."""
    found: dict[str, bool | str | float] = {"algorithm": contents["algorithm"]}
    for part in HPARAMS:
        for name, value in contents[part].items():
            plain = " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
            found[name] = "None" if plain is None else plain
    return found
