"""States on disk, by Orbax: arrays and their tree, nothing that executes.

A checkpoint has three parts: "learner", all that a policy needs; "loop", the rest of the training state; and "about",
what the run was (its config.json) with a sum over the bits of each part. Here they are read, and nothing is taken whose
bits do not add up; saving.py writes them.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.runs.checksum import bit_sum, seal
from ddpg_jax.devices.data_parallel import STATE
from ddpg_jax.devices.layout import Layout, shardings
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Learner, TrainState

DAMAGED = "checkpoints-damaged"  # beside "checkpoints", where those that cannot be read are put


class Damaged(SettingError):
    """A checkpoint that cannot be read or whose bits do not add up."""


class Stored(NamedTuple):
    """A checkpoint, read."""

    vector_step: int
    state: TrainState
    replay: bool  # whether the memory was kept; else the state has ()


def saved_steps(folder: Path) -> list[int]:
    """The saved_steps of all checkpoints that are whole, by their names, in order."""
    return sorted(int(path.name) for path in place_of(folder).glob("*") if path.name.isdigit())


def about(folder: Path, vector_step: int) -> dict[str, Any]:
    """What a checkpoint says of itself: config, replay, score, sums.

    Raises:
      Damaged: it cannot be read, or its own sum is wrong.
    """
    path = place_of(folder) / str(vector_step) / "about" / "metadata"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        stamp = said.pop("seal")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({in_one_line(error)}).") from None
    if stamp != seal(said):
        raise Damaged(f"{path} is damaged (its sum is wrong).")
    return said


def load_state(folder: Path, vector_step: int, shapes: TrainState, layout: Layout) -> Stored:
    """The checkpoint of a vector_step, laid out for the devices at hand.

    Args:
      shapes: what is expected, as `Programs.shapes` gives it.

    Raises:
      Damaged: it cannot be read, or holds something else.
    """

    def expected(leaf, sharding):
        leaf = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    replay = about(folder, vector_step)["replay"]
    wanted = parts_of(jax.tree.map(expected, shapes, shardings(shapes, layout, STATE)), replay)
    stored = _restore(folder, vector_step, wanted)

    def back(path, leaf):
        if not leaf.size:
            return jnp.zeros(leaf.shape, leaf.dtype)
        value = stored["loop"][_name(path)]
        return jax.random.wrap_key_data(value) if is_key(leaf) else value

    state = jax.tree_util.tree_map_with_path(back, _loop(shapes, replay))
    return Stored(vector_step, TrainState(**{"memory": ()} | state, learner=Learner(**stored["learner"])), replay)


def load_learner(folder: Path, shapes: Learner) -> Learner:
    """Reads the newest learner, every leaf [S, ...].

    Args:
      shapes: what is expected, as `jax.eval_shape` gives it.

    Raises:
      SettingError: there is no checkpoint, or it is damaged, or it holds something else.
    """
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), _fields(shapes)
    )
    return Learner(**_restore(folder, newest(folder), {"learner": expected})["learner"])


def newest(folder: Path) -> int:
    """The vector_step of the newest checkpoint.

    Raises:
      SettingError: there is none.
    """
    return newest_first(folder)[0]


def newest_first(folder: Path) -> list[int]:
    """The saved_steps of all checkpoints.

    Raises:
      SettingError: there is none.
    """
    if not saved_steps(folder):
        raise SettingError(f"{folder} holds no checkpoint.")
    return saved_steps(folder)[::-1]


def set_aside(folder: Path, vector_step: int) -> None:
    """Moves a damaged checkpoint out of the way."""
    beside = folder / DAMAGED
    beside.mkdir(exist_ok=True)
    free = next(name for name in (f"{vector_step}-{i}" for i in range(1, 1000)) if not (beside / name).exists())
    (place_of(folder) / str(vector_step)).rename(beside / free)


def _restore(folder: Path, vector_step: int, wanted: dict[str, Any]) -> dict[str, Any]:
    """These parts of a checkpoint, whose bits add up."""
    import orbax.checkpoint as ocp

    path, sums = (place_of(folder) / str(vector_step)).resolve(), about(folder, vector_step)["sums"]
    parts = {name: ocp.args.StandardRestore(tree) for name, tree in wanted.items()}
    before, sys.unraisablehook = sys.unraisablehook, _but_for_late_reads
    logging.getLogger("asyncio").addFilter(_but_for_late_failures)
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            stored = dict(reader.restore(path, args=ocp.args.Composite(**parts)))
        sys.unraisablehook = before
    except Exception as error:  # whatever a flipped bit leads to; reads under way end later, so both stay muted
        raise Damaged(f"{path} is damaged ({in_one_line(error)}).") from error
    for name in wanted:
        if int(bit_sum(stored[name])) != sums[name]:
            raise Damaged(f"{path / name} is damaged (its bits do not add up).")
    return stored


def _but_for_late_reads(late: Any) -> None:
    """Prints an error that nobody caught, unless it is of a read that was under way when another one had failed."""
    if not any(words in str(late.exc_value) for words in ("Event loop is closed", "reading array index")):
        sys.__unraisablehook__(late)


def _but_for_late_failures(record: logging.LogRecord) -> bool:
    """The same of what asyncio logs."""
    return "never retrieved" not in record.getMessage()


def place_of(folder: Path) -> Path:
    """Where a run keeps its checkpoints."""
    return folder / "checkpoints"


def in_one_line(error: Exception) -> str:
    """An error in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0].split(". See full")[0][:200]


def parts_of(state: TrainState, replay: bool) -> dict[str, Any]:
    """The array parts. Leaves without elements, which MuJoCo has and Orbax refuses, are not stored."""
    loop = jax.tree.leaves_with_path(_loop(state, replay))
    return {"learner": _fields(state.learner), "loop": {_name(path): leaf for path, leaf in loop if leaf.size}}


def _loop(state: TrainState, replay: bool) -> dict[str, Any]:
    left_out = {"learner"} if replay else {"learner", "memory"}
    return {name: getattr(state, name) for name in TrainState.__dataclass_fields__ if name not in left_out}


def _fields(learner: Learner) -> dict[str, Any]:
    """The learner's fields; one without arrays is left out, so that a new kind of field keeps old runs readable."""
    fields = {name: getattr(learner, name) for name in Learner.__dataclass_fields__}
    return {name: value for name, value in fields.items() if name != "normalizer" or jax.tree.leaves(value)}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path)


def is_key(leaf: Any) -> bool:
    """Whether an array is one of typed random keys, which are stored as their numbers."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
