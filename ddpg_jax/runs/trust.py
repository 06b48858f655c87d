"""Which code of its own a user has named before, so that it may be imported again when a run folder names it.

A run folder may come from somebody else, and importing a file executes it. What the user has named on a command line or
in Python, or has confirmed by `--trust`, is remembered in the user's state folder: the reference, the file, its hash.
"""

import contextlib
import json
from pathlib import Path

import platformdirs

from ddpg_jax.envs.references import Code
from ddpg_jax.runs.files import atomic_write, read_bytes

MOST = 10_000  # entries that are kept, the newest ones
_now: set[str] = set()  # of this process, where nothing can be written


def remember(name: str, code: Code | None) -> None:
    """Notes that the user has asked for what a reference leads to."""
    entry = _entry(name, code)
    if entry in _now:
        return
    _now.add(entry)
    stored = _stored()
    if entry not in stored:
        lines = "".join(f"{line}\n" for line in [*stored, entry][-MOST:])
        with contextlib.suppress(OSError, ValueError):  # it is asked for again next time
            atomic_write(_file(), lines.encode("utf-8", "surrogateescape"))


def is_trusted(name: str, code: Code) -> bool:
    """Returns whether the user has asked for this before, with the same contents of the same file."""
    entry = _entry(name, code)
    return entry in _now or entry in _stored()


def _entry(name: str, code: Code | None) -> str:
    return json.dumps([name, *(code or Code("", ""))[:2]])


def _stored() -> list[str]:
    with contextlib.suppress(OSError):
        return read_bytes(_file()).decode("utf-8", "replace").splitlines()
    return []


def _file() -> Path:
    return platformdirs.user_state_path("ddpg_jax") / "trusted-code"
