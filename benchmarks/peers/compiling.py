"""Compiles a library's own training program for accelerators that are not here, and tells the driver what XLA says.

A worker that compiles calls `serve(lambda line: report(line, make, packages), COMPILING)`. `make` gets the
configuration and returns a `Program`. What measures the program is the code of `ddpg-jax compile` itself,
`ddpg_jax/devices/targets.py`, so every library's figures come from the same reading of XLA's dumps.
"""

import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from protocol import Line, versions

ROOT = Path(__file__).resolve().parents[2]
COMPILING = {"algorithm": "ddpg", "env": "Pendulum-v1", "num_envs": 1, "seeds": 1, "targets": ["h100"]}


class Program(NamedTuple):
    """A training program, and what one iteration of its main loop does."""

    make: Callable[[Any], Any]  # a device of the target -> the function under `jax.jit`
    args: Any  # its arguments; of arrays only shapes matter
    vector_steps: int  # steps of all environments of an iteration
    updates: int  # of the critic, an iteration and seed
    what: str  # which of the library's functions it is


def measuring() -> Any:
    """Imports `ddpg_jax.devices.targets` alone; it needs jax and flax, and ddpg_jax as a whole what peers lack."""
    for name in ("ddpg_jax", "ddpg_jax.core", "ddpg_jax.devices"):
        package = types.ModuleType(name)
        package.__path__ = [str(ROOT / name.replace(".", "/"))]
        sys.modules[name] = package
    return importlib.import_module("ddpg_jax.devices.targets")


def report(line: Line, make: Callable[[dict[str, Any]], Program], packages: tuple[str, ...]) -> None:
    """Compiles a program for every target of the configuration and sends a message for each."""
    targets = measuring()
    targets.prepare_targets()
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    program = make(line.config)
    for name in line.config["targets"]:
        target = targets.find_target(name)
        place = NamedSharding(Mesh(target.devices, ("devices",)), PartitionSpec())

        def shape(leaf: Any, place: Any = place) -> Any:
            known = hasattr(leaf, "shape") and hasattr(leaf, "dtype")
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place) if known else leaf

        args = jax.tree.map(shape, program.args)
        found = targets.compile_for(target, program.make(target.devices[0]), *args)
        send(line, name, found, program, packages)


def send(line: Line, target: str, found: Any, program: Program, packages: tuple[str, ...]) -> None:
    """Sends what XLA says of a program."""
    iteration = {"vector_steps": program.vector_steps, "updates": program.updates}
    compiled = found._asdict()
    line.send(target=target, what=program.what, iteration=iteration, compiled=compiled, versions=versions(packages))
