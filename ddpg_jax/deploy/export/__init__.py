"""A trained policy as one file that needs no ddpg_jax: StableHLO, ONNX or plain arrays.

Every format holds the same function, obs [B, *O] -> action [B, *A] in the environment's own shape and units: the
normalization of observations and the bounds of actions are inside.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from ddpg_jax.core.settings import SettingError
from ddpg_jax.deploy.policy import one_learner
from ddpg_jax.runs.files import atomic_write, new_output


class Format(NamedTuple):
    """A way to write a policy down: `module` has `encode(Trained) -> bytes` and is imported when it is asked for."""

    module: str
    suffix: str
    needs: tuple[str, ...]  # libraries beyond those that training needs


FORMATS = {
    "jax": Format("ddpg_jax.deploy.export.program", "stablehlo", ("flatbuffers",)),
    "onnx": Format("ddpg_jax.deploy.export.onnx_model", "onnx", ("onnx",)),
    "npz": Format("ddpg_jax.deploy.export.archive", "npz", ()),
}


def export(
    folder: str | Path,
    format: str,
    out: str | Path | None = None,
    seed: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the deterministic policy of a finished run as one file and returns where it is.

    Args:
      folder: the run folder.
      format: "jax", StableHLO for any number of observations, on CPU, CUDA and TPU; "onnx", the same for ONNX runtimes;
        "npz", arrays for NumPy, of policies that are multi-layer perceptrons of `NetworkConfig`.
      out: the file; by default policy.stablehlo, policy.onnx or policy.npz in the run folder.
      seed: which seed of the run; None takes the best by final evaluation.
      overwrite: replace the file that `out` names.

    Raises:
      SettingError: no such format or seed, a folder without a run, a file that exists or cannot be written, a library
        that is not installed, or a policy that the format cannot express.
    """
    if format not in FORMATS:
        raise SettingError(f"format must be one of {', '.join(FORMATS)}, not {format!r}.")
    module, suffix, needs = FORMATS[format]
    path = new_output(Path(folder, f"policy.{suffix}") if out is None else out, (), overwrite)
    for library in needs:
        if importlib.util.find_spec(library) is None:
            raise SettingError(f"format {format} needs {library}; `pip install {library}` installs it.")
    atomic_write(path, importlib.import_module(module).encode(one_learner(folder, seed)))
    return path
