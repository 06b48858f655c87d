"""Accelerators that are not here: XLA compiles for them without the device, and shows what it has made of a program.

For NVIDIA GPUs XLA needs a description of the device, whose numbers are from NVIDIA's data sheets and the CUDA
programming guide. How fast a program runs is not known from its compilation; what it launches, which loops the host
decides, what memory it is assigned and what travels between devices is.
"""

import contextlib
import importlib.util
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ddpg_jax.core.settings import SettingError, reason
from ddpg_jax.devices.compiled_program import Launches, collectives, launches

GIB = 2**30
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1", "TPU_SKIP_MDS_QUERY": "1"}
ENVIRONMENT |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_ACCELERATOR_TYPE": "v5litepod-4"}
ENVIRONMENT |= {"ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}  # libtpu locks the TPU that is not here, and two could not compile

_GPU = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "threads_per_core_limit": 2048,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}
# Name -> numbers that differ: streaming multiprocessors, their lanes and shared memory, bandwidth, memory, capability.
GPUS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "h100": (
        "NVIDIA H100 80GB HBM3",
        9,
        {
            "core_count": 132,
            "fpus_per_core": 128,
            "shared_memory_per_core": 233472,
            "shared_memory_per_block_optin": 232448,
            "memory_bandwidth": 3_352_320_000_000,
            "l2_cache_size": 52428800,
            "clock_rate_ghz": 1.98,
            "device_memory_size": 84_929_347_584,
        },
    ),
    "a100": (
        "NVIDIA A100-SXM4-80GB",
        8,
        {
            "core_count": 108,
            "fpus_per_core": 64,
            "shared_memory_per_core": 167936,
            "shared_memory_per_block_optin": 166912,
            "memory_bandwidth": 2_039_000_000_000,
            "l2_cache_size": 41943040,
            "clock_rate_ghz": 1.41,
            "device_memory_size": 85_094_825_984,
        },
    ),
}
TPUS = {"v4": 32 * GIB, "v5e": 16 * GIB, "v5p": 95 * GIB, "v6e": 32 * GIB}  # memory of a chip
WHEELS = {"cuda": ("jax_cuda12_plugin", "jax_plugins.xla_cuda12"), "tpu": ("libtpu",)}


class Target(NamedTuple):
    """Devices to compile for."""

    name: str
    platform: str  # as JAX calls it when it lowers: "cuda", "tpu" or "cpu"
    devices: tuple[Any, ...]
    memory: int  # bytes of each


class TooLarge(SettingError):
    """A program that XLA does not compile, since it needs more memory than a device has."""


class Compiled(NamedTuple):
    """What XLA says of a program that it has compiled; sizes are those of one device."""

    argument_bytes: int
    temporary_bytes: int  # beside its arguments
    peak_bytes: int
    launches: int | None  # kernels and copies of one iteration of the main loop; None on TPU, as the next six
    fewest: int | None  # the same with the shorter sides of branches, without inner loops of unknown length
    copies: int | None  # of these
    sorting: int | None  # of these
    submitted: int | None  # kernels, copies and CUDA graphs that the host launches, an iteration
    host_decisions: int | None  # loops and branches that the host decides, an iteration
    around: int | None  # launches before and after that loop
    collectives: dict[str, tuple[int, int]]  # kind -> how many are in the program, and their bytes
    repeated_collectives: dict[str, tuple[int, int]]  # those of its loops
    estimated_seconds: float | None  # XLA's own cost model, which counts each loop's body once; None on GPU
    compile_seconds: float


def find_target(name: str) -> Target:
    """Returns the devices that a name stands for.

    Args:
      name: "h100", "h100:8" (GPUs of a host), "h100:16x8" (hosts x GPUs); "v5e", "v5e:2x4" (a TPU topology); "cpu" for
        the CPU of this machine.

    Raises:
      SettingError: there is no such target, or the packages that compile for it are not installed.
    """
    kind, _, count = name.partition(":")
    if name == "cpu":
        from ddpg_jax.devices.backend import memory_limit  # here, as a peer's environment lacks what it needs

        return Target(name, "cpu", tuple(jax.devices("cpu")[:1]), memory_limit())
    if kind not in GPUS and kind not in TPUS:
        raise SettingError(f"target must be cpu or begin with one of {', '.join([*GPUS, *TPUS])}, not {name!r}.")
    platform = "cuda" if kind in GPUS else "tpu"
    if any(_missing(module) for module in WHEELS[platform]):
        version = jax.__version__
        wheels = f"--no-deps jax-cuda12-plugin=={version} jax-cuda12-pjrt=={version}" if kind in GPUS else "libtpu"
        raise SettingError(
            f"target {name} needs packages that are not installed; `pip install {wheels}` installs them."
        )
    from jax.experimental import topologies

    hosts, gpus = _counts(name, count) if kind in GPUS else (1, 1)
    try:
        with _silent():
            if kind in TPUS:
                described: Any = topologies.get_topology_desc(name if count else f"{kind}:2x2", platform="tpu")
            else:
                how = {"target_config": _gpu_config(kind), "topology": f"{hosts}x{gpus}x1"}
                described = topologies.get_topology_desc(platform="cuda", **how)
    except Exception as error:  # of whatever kind the plugin has
        raise SettingError(f"target must be one that XLA knows, and {name!r} is not ({reason(error)}).") from None
    devices = tuple(described.devices) if count else tuple(described.devices)[:1]
    memory = GPUS[kind][2]["device_memory_size"] if kind in GPUS else TPUS[kind]
    return Target(name, platform, devices, memory)


def _missing(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is None
    except ModuleNotFoundError:
        return True


def _counts(name: str, count: str) -> tuple[int, int]:
    """Returns hosts and GPUs of a host."""
    if not count:
        return 1, 1
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})?", count):
        raise SettingError(f"target must be GPUS or HOSTSxGPUS after the colon, as in h100:16x8, not {name!r}.")
    first, *second = map(int, count.split("x"))
    return (first, second[0]) if second else (1, first)


def _gpu_config(kind: str) -> str:
    """Returns the description of a GPU as XLA reads it, a GpuTargetConfig in protobuf's text format.

    CUDA 12.9 is the first version whose graphs hold loops.
    """
    device, capability, numbers = GPUS[kind]
    lines = "\n".join(f"  {name}: {value}" for name, value in (_GPU | numbers).items())
    versions = '  driver_version: "13.0.0"\n  runtime_version: "12.9.0"\n  compile_time_toolkit_version: "12.9.0"'
    return (
        f"gpu_device_info {{\n{lines}\n  cuda_compute_capability {{ major: {capability} }}\n{versions}\n}}\n"
        'platform_name: "CUDA"\ndnn_version_info { major: 9 minor: 7 }\n'
        "runtime_version { major: 12 minor: 9 patch: 0 }\n"
        f'device_description_str: "{device}"\n'
    )


def compile_for(target: Target, function: Any, *args: Any, options: dict[str, Any] | None = None) -> Compiled:
    """Compiles a jitted function for a target and returns what XLA says of the program.

    Args:
      function: under `jax.jit`.
      args: its arguments as `jax.ShapeDtypeStruct`s with shardings over the target's devices.
      options: more options of the compiler.

    Raises:
      TooLarge: XLA has found no way to fit the program in the memory of a device.
    """
    began = time.perf_counter()
    lowered = function.trace(*args).lower(lowering_platforms=(target.platform,))
    with tempfile.TemporaryDirectory() as dump, _silent():
        gpu = target.platform == "cuda"
        # Autotuning needs a device
        shown = {"xla_dump_to": dump, "xla_dump_hlo_as_text": True, "xla_gpu_autotune_level": 0} if gpu else {}
        try:
            compiled = lowered.compile(compiler_options=shown | (options or {}))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise TooLarge(re.sub(r"^RESOURCE_EXHAUSTED: |HLO module.*", "", reason(error))) from None
        seconds = time.perf_counter() - began
        found: dict[str, Any] = launches(Path(dump))._asdict() if gpu else dict.fromkeys(Launches._fields)
    cost = compiled.cost_analysis() if target.platform == "tpu" else {}
    return _figures(compiled, found, cost or {}, seconds)


def _figures(compiled: Any, found: dict[str, Any], cost: dict[str, Any], seconds: float) -> Compiled:
    """Returns what is known of a compiled program; `found` are its launches."""
    memory, text, estimate = compiled.memory_analysis(), compiled.as_text(), cost.get("optimal_seconds", 0)
    arguments, temporary = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    return Compiled(
        argument_bytes=arguments,
        temporary_bytes=temporary,
        peak_bytes=arguments + temporary + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        **found,
        collectives=collectives(text),
        repeated_collectives=collectives(text, loops_only=True),
        estimated_seconds=estimate if estimate > 0 else None,  # XLA says otherwise where it cannot tell
        compile_seconds=seconds,
    )


def prepare_targets() -> None:
    """Configures JAX to compile for what is not here; to be called before JAX's first computation."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _silent():
        jax.devices()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Discards what libraries below Python write to standard error: that there is no such device here."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
