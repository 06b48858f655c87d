"""Export of a trained policy as one file that needs no ddpg_jax: StableHLO, ONNX or plain arrays.

Every format holds the same function, obs [B, *O] -> action [B, *A] in the environment's own shape and units: the
normalization of observations and the bounds of actions are inside.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.deploy.policy import load_seed
from ddpg_jax.runs.files import atomic_write, new_output
from ddpg_jax.runs.paths import check_stored_path


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


def export(
    folder: str | Path,
    format: str,
    out: str | Path | None = None,
    seed: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the deterministic policy of a finished run to one file and returns its path.

    Args:
      folder: the run folder.
      format: "jax", StableHLO for any number of observations, on CPU, CUDA and TPU; "onnx", the same for ONNX runtimes;
        "npz", arrays for NumPy, of policies that are multi-layer perceptrons of `NetworkConfig`.
      out: the file; by default policy.stablehlo, policy.onnx or policy.npz in the run folder.
      seed: which seed of the run; None takes the best by final evaluation.
      overwrite: replace the file that `out` names.

    Raises:
      SettingError: there is no such format or seed, the folder holds no run, the file exists or cannot be written, a
        library is not installed, or the format cannot express the policy.
    """
    if format not in FORMATS:
        raise SettingError(f"format must be one of {', '.join(FORMATS)}, not {format!r}.")
    check_stored_path(folder)
    module, suffix, libraries = FORMATS[format]
    path = new_output(Path(folder, f"policy.{suffix}") if out is None else out, (), overwrite)
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            raise SettingError(f"format {format} needs {library}; `pip install {library}` installs it.")
    atomic_write(path, importlib.import_module(module).encode(load_seed(folder, seed)))
    return path
