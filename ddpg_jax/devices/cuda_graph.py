"""CUDA graphs, with which an NVIDIA GPU runs a whole program, loops and branches included, without the host.

By itself XLA puts kernels into graphs, but lets the host decide every turn of a loop, for which the device waits.
"""

import functools
import os
import warnings
from typing import Any

import jax

from ddpg_jax.core.settings import reason

FLAG = "xla_gpu_enable_command_buffer"
# What XLA puts into graphs: more than by default, loops and branches above all.
COMMANDS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,COLLECTIVES,CONDITIONAL,WHILE,DYNAMIC_SLICE_FUSION"


def cuda_graph_options(device: Any) -> dict[str, Any] | None:
    """Returns the compiler options that make a program for this device one CUDA graph; None where there are none.

    A choice of commands in the environment variable XLA_FLAGS is kept.
    """
    amd = "rocm" in device.client.platform_version.lower()
    if device.platform != "gpu" or amd or FLAG in os.environ.get("XLA_FLAGS", ""):
        return None
    return _known_options()


@functools.cache
def _known_options() -> dict[str, Any] | None:
    """Returns the options, unless this version of XLA does not know them; then it warns, once in a process."""
    options: dict[str, Any] = {FLAG: COMMANDS, "xla_gpu_graph_min_graph_size": "1"}  # a loop alone is a graph, too
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        warnings.warn(
            f"The host decides the loops of every program: this version of XLA makes no CUDA graphs of them "
            f"({reason(error)}).",
            stacklevel=2,
        )
        return None
    return options
