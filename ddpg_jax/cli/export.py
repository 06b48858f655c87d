"""`ddpg-jax export`: a policy to take away."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from typing_extensions import Doc


def export(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    format: Annotated[
        Literal["jax", "onnx", "npz"],
        Doc("jax: StableHLO for CPU, CUDA and TPU; onnx: for ONNX runtimes; npz: arrays, for NumPy alone"),
    ],
    out: Annotated[
        Path | None, Doc("file to make; by default policy.stablehlo, policy.onnx or policy.npz in the run folder")
    ] = None,
    seed: Annotated[int | None, Doc("which seed of the run; by default the best by final evaluation")] = None,
    overwrite: Annotated[bool, Doc("replace the file that `out` names")] = False,
) -> Callable[[], None]:
    """`export RUN`."""
    return lambda: _export(folder, format, out, seed, overwrite)


def _export(folder: Path, format: str, out: Path | None, seed: int | None, overwrite: bool) -> None:
    from ddpg_jax.deploy.export import export
    from ddpg_jax.devices.backend import prepare
    from ddpg_jax.runs.stored_run import read_run

    prepare()
    path = export(folder, format, out, seed, overwrite)
    spec = read_run(folder).spec
    obs, action = (", ".join(map(str, ("batch", *shape))) for shape in (spec.obs_shape, spec.action_low.shape))
    said = f"{path}: {path.stat().st_size:,} bytes, obs [{obs}] {spec.obs_dtype} to action [{action}] float32"
    Console().print(said, soft_wrap=True, markup=False, highlight=False)
