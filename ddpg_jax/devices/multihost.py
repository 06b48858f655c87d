"""Runs that span several processes: every host runs the same command, and `jax.distributed` connects them."""

import json
import os
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import numpy as np

from ddpg_jax.core.settings import SettingError, reason

HEARTBEAT = 10  # seconds without a heartbeat after which JAX ends the other processes
# An environment variable that a launcher sets for every process -> the one that holds the number of processes.
SIZES = {"SLURM_STEP_NODELIST": "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK": "OMPI_COMM_WORLD_SIZE"}
MESSAGE_BYTES = 2000  # longest error message that the main process sends to the others


def launched_by_cluster() -> bool:
    """Returns whether srun, mpirun or a TPU pod started this process as one of several."""
    several = any(mark in os.environ and os.environ.get(size, "1") != "1" for mark, size in SIZES.items())
    return several or "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")


def initialize(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Connects this process with the other processes of its run; to be called before JAX's first computation.

    On SLURM, Open MPI, Kubernetes and TPU pods JAX finds out all three arguments.

    Args:
      coordinator: HOST:PORT of process 0.
      processes: the number of processes.
      process: the index of this one, from 0.

    Raises:
      SettingError: the processes cannot connect.
    """
    config: Any = jax.config
    config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=HEARTBEAT)
    except (ValueError, RuntimeError, TypeError) as error:
        raise SettingError(
            "distributed must be used on a cluster that JAX knows, or with coordinator, processes and process "
            f"({reason(error)})."
        ) from None


def is_main() -> bool:
    """Returns whether this is the main process, process 0, which alone writes files and prints."""
    return jax.process_index() == 0


def fetch(tree: Any) -> Any:
    """Returns arrays that are sharded over processes as whole NumPy arrays, in every process."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def reshard(tree: Any, shardings: Any) -> Any:
    """Returns the arrays of a tree with new shardings, which may span the devices of several processes."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    return jax.jit(lambda tree: tree, out_shardings=shardings)(tree)


def any_process(condition: bool) -> bool:
    """Returns, in every process, whether the condition holds in any of them.

    Clocks differ between hosts, and a signal to stop may reach only one.
    """
    if jax.process_count() == 1:
        return condition
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.asarray(condition)).any())


def refuse_differences(contents: dict[str, Any]) -> None:
    """Checks that every process of a run was given the same settings, before anything is computed with them.

    Args:
      contents: of config.json, as this process would write it.

    Raises:
      SettingError: some have others than the main process; every process raises it.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    checksum = np.asarray(zlib.crc32(json.dumps(contents, sort_keys=True).encode()), np.uint32)
    all_checksums = multihost_utils.process_allgather(checksum)
    if others := np.flatnonzero(all_checksums != all_checksums[0]).tolist():
        raise SettingError(
            f"all processes of a run must have the same settings, and processes {others} have others than process 0; "
            "--no-distributed makes each process a run of its own."
        )


def on_main(action: Callable[[], None]) -> None:
    """Runs `action` in the main process while the others wait.

    Raises:
      SettingError: `action` raised it in the main process; every process raises it.
    """
    message = b""
    if is_main():
        try:
            action()
        except SettingError as error:
            message = str(error).encode()[:MESSAGE_BYTES]
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        padded = np.frombuffer(message.ljust(MESSAGE_BYTES, b"\0"), np.uint8)
        message = np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes().rstrip(b"\0")
    if message:
        raise SettingError(message.decode(errors="ignore"))


def exit_now(code: int) -> NoReturn:
    """Ends this process at once, since a normal exit would wait minutes for processes that have already ended."""
    os._exit(code)
