"""What belongs into a run folder: checked before a folder is replaced, or written to again."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.files import is_temporary, real_path
from ddpg_jax.runs.json_values import read_json

LOCK = ".lock"
FILES = {"config.json", "metrics.jsonl", "evaluation.json", "curve.png"}
FILES |= {"policy.stablehlo", "policy.onnx", "policy.npz"}  # as `export` calls them
FILES |= {"sweep.csv", "curves.jsonl", "sweep.png", "progress.json"}  # of a sweep
CONFIG_KEYS = {"format", "kind", "algorithm", "run", "loop", "config", "spec", "versions", "device"}
OPTIONAL_KEYS = {"code", "devices"}  # of one's own code; of runs since they have it

# Folders, by their paths in a run folder. What Orbax is writing or deleting has "orbax-checkpoint-tmp" in its name.
_OWN = re.compile(
    r"""(checkpoints|checkpoints-damaged|tensorboard|wandb|code)
    | code/(algorithm|env|\.(algorithm|env)\.[0-9a-f]{8}\.tmp)\.py
    | checkpoints/[^/]*orbax-checkpoint-tmp[^/]*(/.*)?
    | checkpoints(-damaged)?/[\d-]+(/(_CHECKPOINT_METADATA|commit_success\.txt|descriptor(/descriptor)?
        |[^/]*orbax-checkpoint-tmp[^/]*(/.*)?
        |(learner|loop|metadata)(/([^/]+/)*
            (_\w+|[0-9a-f]{16,}|(ocdbt\.)?process_\d+|metadata|array_metadatas|d|manifest\.ocdbt
            |commit_success\.txt|\.z\w+|\d+(\.\d+)*))?))?
    | tensorboard/(seed\d+|mean)(/events\.out\.tfevents\.[^/]*)?
    | wandb/(token|latest-run|debug[\w-]*\.log|(offline-)?run-[^/]+(/.*)?)""",
    re.VERBOSE,
)


def foreign_entry(folder: Path) -> str | None:
    """Returns the path of something in a folder that no run or sweep has written; None where there is nothing such."""
    return next((str(entry) for entry in _entries(folder) if not _is_own(entry)), None)


def is_run(folder: Path) -> bool:
    """Returns whether the config.json of a folder is that of a run or a sweep, of whichever version of ddpg_jax."""
    try:
        fields = read_json(folder / "config.json").object(CONFIG_KEYS)
        fields["format"].integer()
        groups = [fields[name].fields() for name in ("run", "loop", "config", "spec", "versions")]
        return fields["kind"].string() in ("run", "sweep") and all(groups) and "ddpg_jax" in groups[-1]
    except (OSError, SettingError):
        return False


def refuse_links_out(folder: Path) -> None:
    """Refuses a folder with a link that leads out of it, through which a run would write elsewhere.

    Raises:
      SettingError: there is one; the message names it.
    """
    inside = real_path(folder)
    for name in _entries(folder):
        link = folder / name
        if link.is_symlink() and not real_path(link).is_relative_to(inside):
            raise SettingError(
                f"{folder} must hold no link that leads out of it, and {name} leads to {os.readlink(link)}; "
                "--follow-links writes there."
            )


def _entries(folder: Path) -> Iterator[Path]:
    """Yields the paths, relative to the folder, of everything in it but folders that hold something."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in [*files, *links]:
            yield (here / name).relative_to(folder)
        if not folders and not files and here != folder:
            yield here.relative_to(folder)


def _raise(error: OSError) -> None:
    raise SettingError(f"{error.filename} must be a folder that can be read, and it is not ({error.strerror}).")


def _is_own(entry: Path) -> bool:
    parts = entry.parts[1:] if entry.parts[0] == "best" else entry.parts  # `best` of a sweep is a run folder
    if len(parts) < 2 and (not parts or parts[0] in FILES | {LOCK} or is_temporary(parts[0], FILES)):
        return True
    return _OWN.fullmatch("/".join(parts)) is not None
