"""Export of a trained policy as one file that needs no ddpg_jax: StableHLO, ONNX or plain arrays.

Every format holds the same function, obs [B, *O] -> action [B, *A] in the environment's own shape and units: the
normalization of observations and the bounds of actions are inside.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.deploy.policy import Policy, Source, TrainedSeed, load_seed
from ddpg_jax.runs.choose_checkpoint import Checkpoint
from ddpg_jax.runs.files import atomic_write, new_output
from ddpg_jax.runs.paths import check_stored_path
from ddpg_jax.runs.stored_run import Run


class Format(NamedTuple):
    """A file format; its module has `encode(TrainedSeed) -> bytes` and is imported when it is needed."""

    module: str
    suffix: str
    libraries: tuple[str, ...]  # beyond those that training needs


FORMATS = {
    "jax": Format("ddpg_jax.deploy.export.stablehlo", "stablehlo", ("flatbuffers",)),
    "onnx": Format("ddpg_jax.deploy.export.onnx_model", "onnx", ("onnx",)),
    "npz": Format("ddpg_jax.deploy.export.npz", "npz", ()),
}
EXPORTED = "a run folder or a policy from load_policy or make_policy"


def export(
    folder: Source | Policy,
    format: str,
    out: str | Path | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    checkpoint: Checkpoint = "latest",
) -> Path:
    """Writes the deterministic policy of a finished run to one file and returns its path.

    Args:
      folder: the run folder, or what `open_run` returns; or a policy from `load_policy` or `make_policy`, for which
        `out` must be given.
      format: "jax", StableHLO for any number of observations, on CPU, CUDA and TPU; "onnx", the same for ONNX runtimes;
        "npz", arrays for NumPy, of policies that are multi-layer perceptrons of `NetworkConfig`.
      out: the file; by default policy.stablehlo, policy.onnx or policy.npz in the run folder.
      seed, checkpoint: as for `load_policy`.
      overwrite: replace the file that `out` names.

    Raises:
      SettingError: there is no such format or seed, a seed or a checkpoint is given for a policy, the folder holds no
        run, the file exists or cannot be written, a library is not installed, the parameters are not finite, or the
        format cannot express the policy.
    """
    if format not in FORMATS:
        raise SettingError(f"format must be one of {', '.join(FORMATS)}, not {format!r}.")
    if not isinstance(folder, str | Path | Run | Policy):
        raise SettingError(f"folder must be {EXPORTED}, not {shown(folder)}.")
    module, suffix, libraries = FORMATS[format]
    path = new_output(_default(folder, suffix) if out is None else out, (), overwrite)
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            raise SettingError(f"format {format} needs {library}; `pip install {library}` installs it.")
    if isinstance(folder, Policy) and (seed is not None or checkpoint != "latest"):
        raise SettingError("seed and checkpoint must not be given for a policy, which has been loaded already.")
    trained = folder.trained if isinstance(folder, Policy) else load_seed(folder, seed, checkpoint)
    if trained is None:
        raise SettingError(f"folder must be {EXPORTED}, not another policy.")
    _check_finite(trained)
    atomic_write(path, importlib.import_module(module).encode(trained))
    return path


def _check_finite(trained: TrainedSeed) -> None:
    """Raises SettingError where a parameter is not finite, as none of a run folder's is."""
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trained.learner.params)):
        raise SettingError(f"the parameters of seed {trained.seed} must be finite; it has diverged.")


def _default(folder: Source | Policy, suffix: str) -> Path:
    """Returns the file that is written where none is named.

    Raises:
      SettingError: the policy is in no folder, or there can be no such folder.
    """
    if isinstance(folder, Policy):
        raise SettingError("out must be given for a policy that is no run folder.")
    place = folder.folder if isinstance(folder, Run) else folder
    check_stored_path(place)
    return Path(place, f"policy.{suffix}")
