"""A run on disk: config.json, metrics.jsonl, evaluation.json, checkpoints/, curve.png."""

import contextlib
import dataclasses
import importlib.metadata
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import filelock
import jax

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Spec
from ddpg_jax.runs.files import atomic_write, temporary_name
from ddpg_jax.runs.json_values import read_json

FORMAT = 1  # of everything in a run folder; another one is refused by name
CONFIG_KEYS = {"format", "kind", "algorithm", "run", "loop", "config", "spec", "versions", "device"}
LOCK = ".lock"
FILES = {"config.json", "metrics.jsonl", "evaluation.json", "curve.png"}
FILES |= {"policy.stablehlo", "policy.onnx", "policy.npz"}  # as `export` calls them
FILES |= {"sweep.csv", "curves.jsonl", "sweep.png"}  # of a sweep
ENTRIES = FILES | {temporary_name(Path(name)).name for name in FILES}
ENTRIES |= {"checkpoints", "checkpoints-damaged", "tensorboard", "wandb", "best"}
PACKAGES = ("ddpg_jax", "jax", "flax", "optax", "gymnax", "brax")

# Settings of a run that do not change what it computes.
FREE = {"out", "overwrite", "steps", "devices", "checkpoint_seconds", "checkpoint_steps", "checkpoint_replay"}
FREE |= {"keep_checkpoints", "halt_on_nan", "tensorboard", "wandb"}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder, which goes with the process, however it ends.

    Raises:
      SettingError: another process holds it, or the folder cannot be written.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise SettingError(f"out must not be in use, and another process is training the run in {folder}.") from None
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
    """Makes an empty run folder and holds its lock.

    Raises:
      SettingError: it exists and may not be overwritten, what is there is not a run of ddpg_jax, or it is in use.
    """
    if folder.exists() and (not folder.is_dir() or _entries(folder)):
        if not _holds_only_a_run(folder):
            raise SettingError(f"out must be a new folder or a run of ddpg_jax, and {folder} is neither.")
        if not overwrite:
            raise SettingError(f"out must be a new folder, and {folder} already holds a run; --overwrite replaces it.")
    with locked(folder):
        for name in _entries(folder):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


def _entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK}


def _holds_only_a_run(folder: Path) -> bool:
    try:
        return read_json(folder / "config.json").fields().keys() >= CONFIG_KEYS and _entries(folder) <= ENTRIES
    except (OSError, SettingError):
        return False


def config_dict(
    algorithm: str, run: Any, loop: Any, config: Any, spec: Spec, kind: Literal["run", "sweep"] = "run"
) -> dict[str, Any]:
    """Returns the contents of config.json: everything that a run or a sweep depends on, as plain JSON."""
    device = jax.devices()[0]
    plain_spec = spec._asdict() | {
        "obs_dtype": spec.obs_dtype.name,
        "action_low": spec.action_low.tolist(),
        "action_high": spec.action_high.tolist(),
    }
    contents = {
        "format": FORMAT,
        "kind": kind,
        "algorithm": algorithm,
        "run": _plain(run),
        "loop": _plain(loop),
        "config": _plain(config),
        "spec": plain_spec,
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "device": f"{device.platform}: {device.device_kind}",
    }
    return json.loads(json.dumps(contents))


def _plain(config: Any) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(config).items()}


def write_config(folder: Path, contents: dict[str, Any]) -> None:
    """Writes config.json with the contents that `config_dict` returns."""
    write_json(folder / "config.json", contents)


def write_json(path: Path, contents: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    atomic_write(path, json.dumps(contents, indent=2).encode("utf-8"))


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns the settings that would change what a run computes, as "tau is 0.01 and was 0.005"; "" if there are none.

    Args:
      before, now: the earlier and the later contents of config.json.
    """
    groups = ("run", "loop", "config", "spec")
    old: dict[tuple[str, str], Any] = {("", "algorithm"): before["algorithm"]}
    new: dict[tuple[str, str], Any] = {("", "algorithm"): now["algorithm"]}
    for group in groups:
        old |= {(group, name): value for name, value in before[group].items()}
        new |= {(group, name): value for name, value in now[group].items()}
    changed = [key for key in old | new if old.get(key) != new.get(key) and not (key[0] == "run" and key[-1] in FREE)]
    return ", ".join(f"{key[-1]} is {new.get(key)!r} and was {old.get(key)!r}" for key in changed)
