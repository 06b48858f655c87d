"""evaluation.json: the final evaluation of every seed, written and read."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.json_values import Value, read_json
from ddpg_jax.runs.run_folder import write_json
from ddpg_jax.runs.stored_run import Run

STATISTICS = ("mean", "std", "min", "max", "length")


class StoredEvaluation(NamedTuple):
    """What evaluation.json says: the final evaluation of every seed."""

    episodes: int
    best_seed: int | None
    rows: list[dict[str, Any]]  # seed, mean, std, min, max, length; and, where seeds diverged, "diverged"


def write_evaluation(folder: Path, episodes: int, table: list[dict[str, Any]]) -> None:
    """Writes evaluation.json: a row per seed, and the seed with the highest mean, if any is finite."""
    write_json(folder / "evaluation.json", {"episodes": episodes, "best_seed": best_of(table), "seeds": table})


def best_of(table: list[dict[str, Any]]) -> int | None:
    """Returns the seed with the highest mean return, the first of equals; None if no mean is finite."""
    best = max(table, key=lambda row: -math.inf if row["mean"] is None else row["mean"])
    return None if best["mean"] is None else best["seed"]


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
    fields = document.object({"episodes", "best_seed", "seeds"}, set())
    rows = read_rows_of_seeds(fields["seeds"], run.run)
    best = fields["best_seed"].optional(Value.integer)
    if best != best_of(rows):
        raise fields["best_seed"].refuse(f"{best_of(rows)}, the seed with the highest mean")
    return StoredEvaluation(fields["episodes"].integer(low=1), best, rows)


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
    fields = row.object({"seed", *STATISTICS}, {"diverged"})
    found: dict[str, Any] = {"seed": fields["seed"].integer()}
    found |= {name: fields[name].optional(Value.number) for name in STATISTICS}
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
