"""Where `report` and `render` write: by default beside what they are of; refused before anything is rendered."""

import tempfile
from pathlib import Path

from ddpg_jax.core.settings import SettingError, reason
from ddpg_jax.runs.contents import is_run
from ddpg_jax.runs.files import real_path
from ddpg_jax.runs.json_values import read_json
from ddpg_jax.runs.paths import not_writable


def default_output(folder: str | Path, prefix: str, suffix: str) -> Path:
    """Returns a path beside a run folder, under its name; of the `best/` of a sweep beside the sweep, under both names.

    Raises:
      SettingError: it is the root folder, which has neither a name nor a place beside it.
    """
    run = real_path(folder)
    within = [run.parent] if _is_sweep(run.parent) else []
    outer = [*within, run][0]
    if not outer.name:
        raise SettingError(f"out must be given for a run in {outer}, which nothing can be written beside.")
    return outer.with_name(f"{prefix}{'-'.join(path.name for path in (*within, run))}{suffix}")


def _is_sweep(folder: Path) -> bool:
    return is_run(folder) and read_json(folder / "config.json").value["kind"] == "sweep"


def check_writable(path: Path) -> None:
    """Checks that a file can be made in a folder, or in the nearest one that there is above it.

    Raises:
      SettingError: it cannot; the message names `out`.
    """
    try:
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise not_writable("file", path, reason(error)) from None
