"""Memory of the devices, and the configuration of JAX: compilation cache, CPU devices, threads."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import platformdirs

from ddpg_jax.core.settings import SHOWN, SettingError
from ddpg_jax.devices.layout import usable_devices

CACHE_BYTES = 2**30  # limit of the compilation cache; JAX deletes the least recently used programs
MOST_CPU_DEVICES = 64  # that JAX makes on a machine with fewer cores
EXHAUSTED = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "OUT_OF_MEMORY")  # in XLA's and CUDA's errors
LEVEL = "xla_backend_optimization_level"
# Platform -> compiler options that reduce compile time by a quarter, for programs that run briefly and only once. A
# level that the user has set in XLA_FLAGS is kept.
QUICK = {} if LEVEL in os.environ.get("XLA_FLAGS", "") else {"cpu": {LEVEL: "1"}}


def nbytes(tree: Any) -> int:
    """Returns the size in bytes of all arrays of a tree; `jax.ShapeDtypeStruct`s count as arrays."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def memory_limit(devices: int = 1) -> int:
    """Returns the bytes of memory that a program can use on `devices` devices; on CPU they share the host's memory."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] * devices
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:  # the limit of a container (cgroup version 2); "max" means that there is none
        return min(physical, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return physical


@contextlib.contextmanager
def refuse_exhaustion() -> Iterator[None]:
    """Turns a failed allocation, on a device or on the host, into a `SettingError`; other errors pass as they are."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).partition("\n")[0][:SHOWN]
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in EXHAUSTED):
            raise
        raise SettingError(
            f"the settings must fit in memory, and there was not enough of it ({reason or 'MemoryError'}); fewer "
            "seeds, num_envs or eval_episodes, or a smaller hidden, batch_size or replay_capacity, take less."
        ) from None


def cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _use_cache(folder: Path) -> None:
    """Turns on JAX's compilation cache in a folder, unless the folder cannot be written to."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        wanted = {
            "jax_compilation_cache_dir": str(folder),
            "jax_compilation_cache_max_size": CACHE_BYTES,
            "jax_persistent_cache_min_compile_time_secs": 0.0,
        }
        for name, value in wanted.items():
            if name.upper() not in os.environ:
                jax.config.update(name, value)


def prepare(seeds: int = 1, one_thread: bool = False, devices: int | None = None, cache: bool = True) -> None:
    """Configures JAX as the command line does; to be called before JAX's first computation.

    Compiled programs are cached in the user's cache folder, up to `CACHE_BYTES`. What the user has set is kept.

    Args:
      seeds: number of seeds that will be trained.
      one_thread: compute every matrix product on one core, since dividing a small one makes it a third slower.
      devices: number of devices that JAX makes of the CPU; by default the largest number, at most one per core, over
        which the seeds can be sharded evenly.
      cache: whether compiled programs are cached where the user has not set that; not where compiling is measured.
    """
    if one_thread:
        os.environ.setdefault("NPROC", "1")  # the size of XLA's thread pool, which it reads when the CPU backend starts
    config: Any = jax.config
    if cache and config.jax_compilation_cache_dir is None:
        _use_cache(platformdirs.user_cache_path("ddpg_jax") / "programs")
    devices = devices and min(devices, max(MOST_CPU_DEVICES, cores()))  # the plan refuses more than there are
    if config.jax_num_cpu_devices == -1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # JAX has started already, as in a notebook or a test
            jax.config.update("jax_num_cpu_devices", devices or usable_devices(seeds, cores()))
