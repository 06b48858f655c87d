"""A run on disk: config.json, metrics.jsonl, evaluation.json, checkpoints/, curve.png."""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import filelock
import jax
import numpy as np

from ddpg_jax.runs.registry import Algorithm, algorithms
from ddpg_jax.runs.files import atomic_write, temporary_name
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Spec

LOCK = ".lock"
FILES = {"config.json", "metrics.jsonl", "evaluation.json", "curve.png"}
FILES |= {"policy.stablehlo", "policy.onnx", "policy.npz"}  # as `export` calls them
FILES |= {"sweep.csv", "curves.csv", "sweep.png"}  # of a sweep
ENTRIES = FILES | {temporary_name(Path(name)).name for name in FILES}
ENTRIES |= {"checkpoints", "checkpoints-damaged", "tensorboard", "wandb", "best"}
PACKAGES = ("ddpg_jax", "jax", "flax", "optax", "gymnax", "brax")


# Settings of a run that change nothing about what it computes.
FREE = {"out", "overwrite", "steps", "devices", "checkpoint_seconds", "checkpoint_steps", "checkpoint_replay"}
FREE |= {"keep_checkpoints", "halt_on_nan", "tensorboard", "wandb"}

Settings = TypeVar("Settings")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A run folder that no other live process holds; the lock goes with the process, however it ends.

    Raises:
      SettingError: another one holds it, or it cannot be written.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise SettingError(f"out must not be in use, and {folder} belongs to a run that is still going on.") from None
    except OSError as error:
        raise SettingError(
            f"out must be a folder that can be written, and {folder} is not ({error.strerror})."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def new_run_folder(folder: Path, overwrite: bool) -> Iterator[None]:
    """A new and empty run folder, held.

    Raises:
      SettingError: it exists and may not be overwritten, what is there is no run of ours, or it is in use.
    """
    if folder.exists() and (not folder.is_dir() or _entries(folder)):
        if not _is_ours(folder):
            raise SettingError(f"out must be a new folder or a run of ours, and {folder} is neither.")
        if not overwrite:
            raise SettingError(f"out must be a new folder, and {folder} holds a run already; --overwrite replaces it.")
    with locked(folder):
        for name in _entries(folder):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


def _entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK}


def _is_ours(folder: Path) -> bool:
    """Whether the folder holds a run and nothing else."""
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {"algorithm", "run", "loop", "spec"} <= stored.keys() and _entries(folder) <= ENTRIES
    except (OSError, ValueError, AttributeError):
        return False


def config_dict(algorithm: str, run: Any, loop: Any, config: Any, spec: Spec) -> dict[str, Any]:
    """Everything that a run depends on, as config.json says it."""
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
    return json.loads(json.dumps(stored))


def write_config(folder: Path, said: dict[str, Any]) -> None:
    """Writes config.json, as `config_dict` says it."""
    _put(folder / "config.json", said)


def _put(path: Path, said: dict[str, Any]) -> None:
    atomic_write(path, json.dumps(said, indent=2).encode("utf-8"))


def differences(
    then: dict[str, Any], now: dict[str, Any], groups: Sequence[str] = ("run", "loop", "config", "spec")
) -> str:
    """The settings that would change what a run computes, as "tau is 0.01 and was 0.005, ..."; "" if there are none.

    Args:
      then, now: what config.json said and would say.
      groups: the parts of it to compare, beside the algorithm.
    """
    before, after = ({"algorithm": said["algorithm"]} for said in (then, now))
    for group in groups:
        before |= then[group]
        after |= now[group]
    names = [name for name in before | after if name not in FREE and before.get(name) != after.get(name)]
    return ", ".join(f"{name} is {after.get(name)!r} and was {before.get(name)!r}" for name in names)


def rebuilt(kind: type[Settings], stored: dict[str, Any], folder: Path) -> Settings:
    """A group of settings from config.json.

    Raises:
      SettingError: another version wrote it.
    """
    try:
        return kind(**stored)
    except TypeError as error:
        reason = str(error).removeprefix(f"{kind.__name__}.__init__() ")
        raise SettingError(f"{folder}/config.json was written by another version of ddpg_jax ({reason}).") from None


def _plain(config: Any) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(config).items()}


def read_config(folder: str | Path) -> dict[str, Any]:
    """config.json, with `config` and `spec` as the objects they were, and under "raw" as it stands in the file.

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
        return stored | {"config": algorithm.config(**tuples), "spec": spec, "raw": stored}
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
    """Writes evaluation.json: a row per seed, and which of them did best, if any was finite."""
    best = max(table, key=lambda row: -math.inf if row["mean"] is None else row["mean"])
    seed = None if best["mean"] is None else best["seed"]
    _put(folder / "evaluation.json", {"episodes": episodes, "best_seed": seed, "seeds": table})


def best_seed(folder: str | Path) -> int:
    """The seed with the best final evaluation.

    Raises:
      SettingError: the run has no final evaluation.
    """
    try:
        return int(json.loads((Path(folder) / "evaluation.json").read_text(encoding="utf-8"))["best_seed"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(f"{folder} has no final evaluation to tell its best seed by; name a seed.") from None
