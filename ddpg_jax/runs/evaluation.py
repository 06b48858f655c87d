"""evaluation.json: the final evaluation of every seed, written and read."""

import math
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.json_values import Value, read_json
from ddpg_jax.runs.run_folder import write_json
from ddpg_jax.runs.statistics import probability_highest
from ddpg_jax.runs.stored_run import Run

STATISTICS = ("mean", "std", "min", "max", "length")
SURE = 0.99  # a probability above which the choice of a seed is as good as certain


class StoredEvaluation(NamedTuple):
    """What evaluation.json says: the final evaluation of every seed."""

    episodes: int
    best_seed: int | None
    rows: list[dict[str, Any]]  # seed, mean, standard_error, std, min, max, length; where seeds diverged, "diverged"
    best_probability: float | None = None  # that the best seed's policy is the best; None in files of old runs


def write_evaluation(folder: Path, episodes: int, table: list[dict[str, Any]]) -> None:
    """Writes evaluation.json: a row per seed; the seed with the highest mean, if any is finite; how sure that is."""
    best = {"best_seed": best_of(table), "best_probability": best_probability(table)}
    write_json(folder / "evaluation.json", {"episodes": episodes, **best, "seeds": table})


def delete_evaluation(folder: Path) -> None:
    """Deletes evaluation.json, if there is one."""
    (folder / "evaluation.json").unlink(missing_ok=True)


def best_of(table: list[dict[str, Any]]) -> int | None:
    """Returns the seed with the highest mean return, the first of equals; None if no mean is finite."""
    best = max(table, key=lambda row: -math.inf if row["mean"] is None else row["mean"])
    return None if best["mean"] is None else best["seed"]


def best_probability(table: list[dict[str, Any]]) -> float | None:
    """Returns the probability that the seed with the highest mean has the highest true mean of all that are finite.

    By the normal approximation from the standard errors over episodes; None where one of these is not known, or where
    there is no other seed.
    """
    known = [row for row in table if row["mean"] is not None]
    errors = [row.get("standard_error") for row in known]
    if len(known) < 2 or None in errors:
        return None
    index = [row["seed"] for row in known].index(best_of(known))
    return round(probability_highest([row["mean"] for row in known], errors, index), 4)


def choice(table: list[dict[str, Any]], episodes: int, folder: Path) -> str:
    """Returns a sentence on which seed is taken as the best and how sure that is; "" where there is no choice."""
    probability = best_probability(table)
    if probability is None:
        return ""
    sure = probability > SURE
    words = f"above {SURE}" if sure else f"{probability:.2f}"
    command = f"ddpg-jax evaluate {shlex.quote(str(folder))} --episodes {max(1_000, 10 * episodes)}"
    more = "" if sure else f"; `{command}` compares them better"
    return (
        f"seed {best_of(table)} is the best with probability {words}, by the standard errors over {episodes:,} "
        f"episodes (normal approximation){more}"
    )


def read_evaluation(run: Run) -> StoredEvaluation | None:
    """Reads and checks the evaluation.json of a run; None where there is none yet.

    Raises:
      SettingError: it is damaged or belongs to another run; the message names the field.
    """
    try:
        document = read_json(run.folder / "evaluation.json")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingError(f"{run.folder / 'evaluation.json'} cannot be read ({error.strerror}).") from None
    fields = document.object({"episodes", "best_seed", "seeds"}, {"best_probability"})
    rows = read_rows_of_seeds(fields["seeds"], run.run)
    best = fields["best_seed"].optional(Value.integer)
    if best != best_of(rows):
        raise fields["best_seed"].refuse(f"{best_of(rows)}, the seed with the highest mean")
    sure = fields["best_probability"].optional(Value.number) if "best_probability" in fields else None
    if sure is not None and not 0 <= sure <= 1:
        raise fields["best_probability"].refuse("a number from 0 to 1, or null")
    return StoredEvaluation(fields["episodes"].integer(low=1), best, rows, sure)


def read_rows_of_seeds(value: Value, run: RunConfig) -> list[dict[str, Any]]:
    """Returns a list with the evaluation of each seed of a run, in order.

    Raises:
      SettingError: it is something else; the message names the place.
    """
    rows, numbers = [_evaluation_row(row) for row in value.items()], run.seed_numbers()
    if [row["seed"] for row in rows] != numbers:
        raise SettingError(
            f"{value.file}: {value.place} must have a row for each of the seeds {numbers[0]} to {numbers[-1]}, "
            "in order."
        )
    return rows


def _evaluation_row(row: Value) -> dict[str, Any]:
    fields = row.object({"seed", *STATISTICS}, {"diverged", "standard_error"})  # which old runs do not have
    found: dict[str, Any] = {"seed": fields["seed"].integer()}
    numbers = [name for name in fields if name in {*STATISTICS, "standard_error"}]
    found |= {name: fields[name].optional(Value.number) for name in numbers}
    if (found.get("standard_error") or 0) < 0:
        raise fields["standard_error"].refuse("at least 0, or null")
    if "diverged" in fields:
        found["diverged"] = fields["diverged"].optional(Value.string)
    return found


def best_seed(run: Run) -> int:
    """Returns the seed with the best final evaluation.

    Raises:
      SettingError: the run has no final evaluation, or none that is finite.
    """
    evaluation = read_evaluation(run)
    if evaluation is None or evaluation.best_seed is None:
        raise SettingError(f"{run.folder} has no finite final evaluation to choose the best seed by; pass a seed.")
    return evaluation.best_seed
