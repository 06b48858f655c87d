"""config.json: everything that a run depends on, as it is written, and compared with that of an earlier run."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any, Literal

import jax

from ddpg_jax.core.types import Spec
from ddpg_jax.runs.files import atomic_write
from ddpg_jax.runs.own_code import NONE, Codes, copy_of

FORMAT = 2  # of everything in a run folder; another one is refused by name
PACKAGES = ("ddpg_jax", "jax", "flax", "optax", "gymnax", "brax")

# Settings of a run that do not change what it computes.
FREE = {"out", "overwrite", "steps", "devices", "checkpoint_seconds", "checkpoint_steps", "checkpoint_replay"}
FREE |= {"keep_checkpoints", "halt_on_nan", "tensorboard", "wandb"}
FREE |= {"seed_mapping"}  # but to rounding


def config_dict(
    algorithm: str,
    run: Any,
    loop: Any,
    config: Any,
    spec: Spec,
    kind: Literal["run", "sweep"] = "run",
    code: Codes = NONE,
) -> dict[str, Any]:
    """Returns the contents of config.json: everything that a run or a sweep depends on, as plain JSON."""
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
        "device": device_name(),
    }
    own = {"code": {kind: {"file": one.file, "sha256": one.sha256} for kind, one in code.items()}} if code else {}
    return json.loads(json.dumps(contents | own))


def device_name() -> str:
    """Returns the platform and the kind of the devices of this process, as "cpu: cpu"."""
    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}"


def _plain(config: Any) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in vars(config).items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(one) for one in value]
    return str(value) if isinstance(value, Path) else value.item() if hasattr(value, "item") else value


def write_config(folder: Path, contents: dict[str, Any], code: Codes = NONE) -> None:
    """Writes config.json with the contents that `config_dict` returns, and copies of the code of one's own."""
    for kind, one in code.items():
        atomic_write(copy_of(folder, kind), one.content)
    write_json(folder / "config.json", contents)


def write_json(path: Path, contents: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    atomic_write(path, json.dumps(contents, indent=2).encode("utf-8"))


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns the settings that would change what a run computes, as "tau is 0.01 and was 0.005"; "" if there are none.

    Args:
      before, now: the earlier and the later contents of config.json.
    """
    groups = [name for name in ("run", "loop", "config", "spec", "sweep") if name in before or name in now]
    old: dict[tuple[str, str], Any] = {("", "algorithm"): before["algorithm"]}
    new: dict[tuple[str, str], Any] = {("", "algorithm"): now["algorithm"]}
    for group in groups:
        old |= {(group, name): value for name, value in before.get(group, {}).items()}
        new |= {(group, name): value for name, value in now.get(group, {}).items()}
    changed = [key for key in old | new if old.get(key) != new.get(key) and not (key[0] == "run" and key[-1] in FREE)]
    return ", ".join(f"{key[-1]} is {new.get(key)!r} and was {old.get(key)!r}" for key in changed)


def differences_of_rounding(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns a sentence on what decides the bits of a run, beside its settings, and is another now; "" if nothing is.

    Args:
      before, now: as for `differences`. The number of devices is not in those of sweeps and of earlier versions.
    """
    mappings = [contents["run"]["seed_mapping"] for contents in (before, now)]
    same = {
        "package versions": before["versions"] == now["versions"],
        "kind of device": before["device"] == now["device"],
        "number of devices": before.get("devices") in (None, now.get("devices")),
        "seed_mapping": mappings[0] == mappings[1],
    }
    changed = ", ".join(what for what, is_same in same.items() if not is_same)
    return f"changed since the checkpoint: {changed}; results agree to rounding, not bitwise" if changed else ""
