"""What the device holds, and how JAX is set up for it."""

import contextlib
import os
from pathlib import Path
from typing import Any

import jax
import platformdirs

from ddpg_jax.devices.layout import usable_devices

CACHE_BYTES = 2**30
LEVEL = "xla_backend_optimization_level"
# Compiler options for a program that runs once and briefly: a quarter less time to compile it. The user's level stays.
QUICK = {} if LEVEL in os.environ.get("XLA_FLAGS", "") else {"cpu": {LEVEL: "1"}}


def nbytes(tree: Any) -> int:
    """Bytes of all arrays of a tree, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def memory_limit(devices: int = 1) -> int:
    """Bytes that a program can have on so many devices: accelerators' own limits, or the host's memory once."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] * devices
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:  # a container's limit (cgroup version 2); the word "max" means none
        return min(physical, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return physical


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _keep_programs(folder: Path) -> None:
    """Turns JAX's compilation cache on, in a folder that can be written to; elsewhere it stays off."""
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


def prepare(seeds: int = 1, one_thread: bool = False, devices: int | None = None) -> None:
    """Sets JAX up as the command line wants it, before its first computation; what the user has set stays.

    Compiled programs go to the user's cache folder (at most `CACHE_BYTES`, the longest unused leave first). The CPU
    becomes `devices` devices, by default as many, at most one a core, as `seeds` can be dealt to evenly. With
    `one_thread` no product is divided over cores: small ones lose a third of their speed by it.
    """
    if one_thread:
        os.environ.setdefault("NPROC", "1")  # how XLA is told the size of its thread pool, read when the CPU starts
    config: Any = jax.config
    if config.jax_compilation_cache_dir is None:
        _keep_programs(platformdirs.user_cache_path("ddpg_jax") / "programs")
    if config.jax_num_cpu_devices == -1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # a notebook or a test in which JAX already runs
            jax.config.update("jax_num_cpu_devices", devices or usable_devices(seeds, cores()))
