"""Code of one's own in a run folder: where it was, its hash, a copy; and when it is imported again.

A folder may come from somebody else, so nothing that it names is imported unless the user has named the same before or
says so. What is imported is what the run began with: the file, where it is unchanged, and else its copy.
"""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ddpg_jax.core.settings import SettingError
from ddpg_jax.envs.references import Code, fingerprint, is_reference
from ddpg_jax.envs.registered import registered_environments
from ddpg_jax.envs.suites import is_own_id
from ddpg_jax.runs import trust
from ddpg_jax.runs.files import read_bytes
from ddpg_jax.runs.json_values import Value
from ddpg_jax.runs.named import Kind, Named, load_reference, name_algorithm, name_env

KINDS: tuple[Kind, ...] = ("algorithm", "env")
Codes = Mapping[Kind, Code]  # of "algorithm" and "env", where they are references
NONE: Codes = MappingProxyType({})


def codes_of(algorithm: Named, env: Named) -> Codes:
    """Returns the code of one's own that a run uses."""
    named: dict[Kind, Named] = {"algorithm": algorithm, "env": env}
    return {kind: one.code for kind, one in named.items() if one.code is not None}


def copy_of(folder: Path, kind: str) -> Path:
    """Returns where a run folder has its copy of the code."""
    return folder / "code" / f"{kind}.py"


def read_codes(value: Value | None, names: dict[Kind, Value]) -> Codes:
    """Reads the field "code" of a config.json.

    Args:
      names: the fields in which the algorithm and the environment are named.

    Raises:
      SettingError: a reference is without its code, or a name that is none has some.
    """
    fields = value.object(set(), set(KINDS)) if value else {}
    found: dict[Kind, Code] = {}
    for kind, name in names.items():
        if is_reference(name.string()) != (kind in fields):
            raise name.refuse(f"a reference if and only if there is a `code.{kind}`")
        if kind in fields:
            entry = fields[kind].object({"file", "sha256"}, set())
            found[kind] = Code(str(entry["file"].path()), entry["sha256"].string())
    return found


def read_named(folder: Path, kind: Kind, name: str, codes: Codes, allowed: bool) -> Named:
    """Returns the algorithm or the environment of a stored run.

    Args:
      codes: what `read_codes` has found.
      allowed: whether the user has said that what the folder names may be imported.

    Raises:
      SettingError: it is not installed here, or its code cannot be or may not be imported.
    """
    code = codes.get(kind)
    if code is None and kind == "algorithm":
        return name_algorithm(name)
    if code is None:
        if "@" not in name and not is_own_id(name) and name not in registered_environments():
            raise SettingError(
                f"{folder} was trained on {name!r}, which is no environment here; register_environment makes it one "
                "again, or open_run(..., env=...) or --env FILE.py:NAME gives it."
            )
        return name_env(name)
    if not allowed and not trust.is_trusted(name, code):
        raise SettingError(
            f"{folder} needs code of its own ({name} of {code.file}), which is not imported unasked, since a run "
            "folder may come from anybody; --trust (trust=True) imports it."
        )
    found = _load(folder, kind, name, code)
    trust.remember(name, code)
    return found


def _load(folder: Path, kind: Kind, name: str, code: Code) -> Named:
    place, _, attribute = name.rpartition(":")
    now = fingerprint(code.file)
    if not place.endswith(".py"):  # of an installed package, which a copy of one file is not
        if now != code.sha256:
            warnings.warn(f"{place} has changed since the run began.", stacklevel=2)
        return load_reference(kind, name)
    path = Path(code.file) if now == code.sha256 else copy_of(folder, kind)
    try:
        content = read_bytes(path)
    except OSError as error:
        raise SettingError(f"{path}, which {name} was in, cannot be read ({error.strerror}).") from None
    if hashlib.sha256(content).hexdigest() != code.sha256:
        raise SettingError(f"{path} must be as it was when the run began, and its hash differs.")
    if now != code.sha256:
        what = "is gone" if now is None else "has changed since the run began"
        warnings.warn(f"{code.file} {what}; its copy {path} is used.", stacklevel=2)
    return load_reference(kind, name, f"{code.file}:{attribute}", content)


def changed(codes: Codes) -> list[Kind]:
    """Returns what is in files that have changed since the run began; one that is gone has not."""
    return [kind for kind, code in codes.items() if fingerprint(code.file) not in (None, code.sha256)]


def refuse_changed(folder: Path, codes: Codes, instead: str = "") -> None:
    """Refuses code of one's own that has changed since the run began.

    Raises:
      SettingError: some has; the message ends with what can be done instead.
    """
    for kind in changed(codes):
        raise SettingError(
            f"{codes[kind].file} must be as it was when {folder} was trained, and has changed; what it was is in "
            f"{copy_of(folder, kind)}{instead}."
        )


def read_changed(kind: Kind, name: str, code: Code) -> Named:
    """Returns what is in a file now, where the user wants that in place of what the run began with."""
    place, _, attribute = name.rpartition(":")
    found = load_reference(kind, name, f"{code.file}:{attribute}" if place.endswith(".py") else None)
    trust.remember(name, found.code)
    return found
