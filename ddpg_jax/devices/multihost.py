"""Several processes of one run: the same command on every host, and JAX's own runtime between them."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import numpy as np

from ddpg_jax.core.settings import SettingError

HEARTBEAT = 10  # seconds without a sign of life after which a process counts as dead
# What a launcher sets for a process, and where it then says how many there are.
SIZES = {"SLURM_STEP_NODELIST": "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK": "OMPI_COMM_WORLD_SIZE"}
LONGEST = 2000  # bytes of a message that all processes learn of


def launched_by_cluster() -> bool:
    """Whether srun, mpirun or a TPU pod says that this process is one of several."""
    several = any(mark in os.environ and os.environ.get(size, "1") != "1" for mark, size in SIZES.items())
    return several or "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")


def initialize(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Makes this process one of several; before JAX's first computation.

    Args:
      coordinator: HOST:PORT of process 0. None, as for the other two: found out by JAX, which knows SLURM, Open MPI,
        Kubernetes and TPU pods.
      processes: how many there are.
      process: which of them this is, from 0.

    Raises:
      SettingError: the processes do not find each other.
    """
    config: Any = jax.config
    config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=HEARTBEAT)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise SettingError(
            "distributed must be used on a cluster that JAX knows, or with coordinator, processes and process "
            f"({reason})."
        ) from None


def is_main() -> bool:
    """Whether this is the process that writes and speaks."""
    return jax.process_index() == 0


def fetch(tree: Any) -> Any:
    """Arrays of all processes as whole NumPy arrays on each."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def reshard(tree: Any, shardings: Any) -> Any:
    """Arrays where they are wanted: on other devices of this process, or divided otherwise over all processes."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    return jax.jit(lambda tree: tree, out_shardings=shardings)(tree)


def any_process(wish: bool) -> bool:
    """Whether any process wishes it, in all of them: their vector_steps differ, and not each is told to stop."""
    if jax.process_count() == 1:
        return wish
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.asarray(wish)).any())


def on_main(action: Callable[[], None]) -> None:
    """Runs `action` in the first process while the others wait.

    Raises:
      SettingError: in every process, where it was raised in the first.
    """
    said = b""
    if is_main():
        try:
            action()
        except SettingError as error:
            said = str(error).encode()[:LONGEST]
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        letters = np.frombuffer(said.ljust(LONGEST, b"\0"), np.uint8)
        said = np.asarray(multihost_utils.broadcast_one_to_all(letters)).tobytes().rstrip(b"\0")
    if said:
        raise SettingError(said.decode(errors="ignore"))


def exit_now(code: int) -> NoReturn:
    """Ends a process whose companions may have died: waiting for them would take minutes."""
    os._exit(code)
