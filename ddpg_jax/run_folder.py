"""A run on disk: config.json, metrics.jsonl, evaluation.json, checkpoints/, curve.png."""

import dataclasses
import importlib.metadata
import json
import math
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ddpg_jax.algorithms import Algorithm, algorithms
from ddpg_jax.settings import SettingError
from ddpg_jax.types import Spec

ENTRIES = {"config.json", "metrics.jsonl", "evaluation.json", "curve.png", "checkpoints", "tensorboard"}
ENTRIES |= {"metrics.jsonl.new"}  # of a run that was just being gone on with
ENTRIES |= {"sweep.csv", "curves.csv", "sweep.png", "best"}  # of a sweep
PACKAGES = ("ddpg_jax", "jax", "flax", "optax", "gymnax", "brax")


def create(folder: Path, overwrite: bool) -> None:
    """Makes an empty run folder.

    Raises:
      SettingError: it exists and may not be overwritten, or what is there is no run of ours.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not _is_ours(folder):
            raise SettingError(f"out must be a new folder or a run of ours, and {folder} is neither.")
        if not overwrite:
            raise SettingError(f"out must be a new folder, and {folder} holds a run already; --overwrite replaces it.")
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"out must be a folder that can be written, and {folder} is not ({error.strerror})."
        ) from None


def _is_ours(folder: Path) -> bool:
    """Whether the folder holds a run and nothing else."""
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {"algorithm", "run", "loop", "spec"} <= stored.keys() and {p.name for p in folder.iterdir()} <= ENTRIES
    except (OSError, ValueError, AttributeError):
        return False


def write_config(folder: Path, algorithm: str, run: Any, loop: Any, config: Any, spec: Spec) -> None:
    """Writes config.json: everything that the run depends on."""
    device = jax.devices()[0]
    plain_spec = spec._asdict() | {
        "obs_dtype": spec.obs_dtype.name,
        "action_low": spec.action_low.tolist(),
        "action_high": spec.action_high.tolist(),
    }
    stored = {
        "algorithm": algorithm,
        "run": _plain(run),
        "loop": _plain(loop),
        "config": _plain(config),
        "spec": plain_spec,
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "device": f"{device.platform}: {device.device_kind}",
    }
    (folder / "config.json").write_text(json.dumps(stored, indent=2), encoding="utf-8")


def _plain(config: Any) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(config).items()}


def read_config(folder: str | Path) -> dict[str, Any]:
    """config.json, with `config` and `spec` as the objects they were.

    Raises:
      SettingError: the folder holds no run of ours.
    """
    path = Path(folder) / "config.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        algorithm = _installed(stored["algorithm"])
        stored["run"]["env"], int(stored["run"]["seed"]), int(stored["run"]["seeds"])  # what readers rely on
        tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in stored["config"].items()}
        spec = stored["spec"]
        shape = tuple(np.shape(spec["action_low"]))
        bounds = {name: np.array(spec[name], np.float32).reshape(shape) for name in ("action_low", "action_high")}
        dtype = np.dtype(spec["obs_dtype"])
        spec = Spec(**spec | bounds | {"obs_shape": tuple(spec["obs_shape"]), "obs_dtype": dtype})
        return stored | {"config": algorithm.config(**tuples), "spec": spec}
    except SettingError:
        raise
    except OSError as error:
        raise SettingError(
            f"{folder} is not a run folder: its config.json cannot be read ({error.strerror})."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingError(
            f"{path} is damaged or was not written by ddpg_jax ({type(error).__name__}: {error})."
        ) from None


def _installed(name: str) -> Algorithm:
    if name not in algorithms():
        raise SettingError(f"algorithm must be one that is installed ({', '.join(algorithms())}), not {name!r}.")
    return algorithms()[name]


def write_evaluation(folder: Path, episodes: int, table: list[dict[str, Any]]) -> None:
    """Writes evaluation.json: a row per seed, and which of them did best."""
    best = max(table, key=lambda row: -math.inf if row["mean"] is None else row["mean"])["seed"]
    stored = {"episodes": episodes, "best_seed": best, "seeds": table}
    (folder / "evaluation.json").write_text(json.dumps(stored, indent=2), encoding="utf-8")


def best_seed(folder: str | Path) -> int:
    """The seed with the best final evaluation.

    Raises:
      SettingError: the run has no final evaluation.
    """
    try:
        return json.loads((Path(folder) / "evaluation.json").read_text(encoding="utf-8"))["best_seed"]
    except (OSError, ValueError, KeyError):
        raise SettingError(f"{folder} has no final evaluation to tell its best seed by; name a seed.") from None
