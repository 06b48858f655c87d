"""Checkpoints by Orbax: arrays and their tree, nothing that executes.

A checkpoint has three items: "learner", all that a policy needs; "loop", the rest of the training state; and
"metadata": config.json, the evaluation score, and a checksum over the bits of each array item. Every checkpoint is
written beside its final name and renamed when it is whole, so that an end at any instant leaves the one before. Reading
accepts nothing whose checksums differ. Writing and reading are in this file because they share the layout on disk.
"""

import contextlib
import logging
import math
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.settings import SettingError, reason
from ddpg_jax.core.types import Learner, TrainState
from ddpg_jax.devices.data_parallel import STATE
from ddpg_jax.devices.layout import Layout, shardings
from ddpg_jax.runs.checksum import bit_sum, json_checksum
from ddpg_jax.runs.files import check_regular, real_path
from ddpg_jax.runs.json_values import Value, read_json
from ddpg_jax.runs.orbax_errors import in_one_line, mute_raised, muted_late_errors
from ddpg_jax.runs.replay_size import MEMORY, as_stored, resized

DAMAGED = "checkpoints-damaged"  # beside "checkpoints": where checkpoints that cannot be read are moved


class Damaged(SettingError):
    """A checkpoint that cannot be read or whose checksums differ."""


class Metadata(NamedTuple):
    """What a checkpoint says of itself."""

    config: dict[str, Any]  # the contents of config.json
    score: float | None  # mean evaluation return; None if it was not finite
    replay: bool  # whether the replay is in it
    checksums: dict[str, int]  # of the items "learner" and "loop"


class Restored(NamedTuple):
    """A checkpoint, read."""

    vector_step: int
    state: TrainState
    replay: bool  # whether the replay was in it; otherwise `state.memory` is ()


class Checkpoints:
    """The checkpoints of a run in training: the newest `keep` and the one with the best evaluation.

    Args:
      folder: the run folder.
      keep: how many of the newest stay.
      config: the contents of config.json.
      replay: whether the replay is saved, too.
    """

    def __init__(self, folder: Path, keep: int, config: dict[str, Any], replay: bool = True):
        import orbax.checkpoint as ocp  # here and below: a fifth of what importing this package would take
        from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, LatestN

        self._scores = {step: _score(folder, step) for step in saved_steps(folder)}
        self._config, self._replay = config, replay
        kept = AnyPreservationPolicy([LatestN(keep), _Best(self._scores)])
        options = ocp.CheckpointManagerOptions(preservation_policy=kept, cleanup_tmp_directories=True)
        self._place, self._failed = checkpoints_folder(folder), False
        logging.getLogger("absl").addFilter(mute_raised)
        with self._writing():
            self._manager = ocp.CheckpointManager(real_path(self._place), options=options)

    def save(self, vector_step: int, state: TrainState, score: float) -> None:
        """Begins to write; returns as soon as the state may be trained on.

        Raises:
          SettingError: there is no room, or it cannot be written.
        """
        import orbax.checkpoint as ocp

        as_numbers = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)
        items = _array_items(as_numbers, self._replay)
        checksums = {name: int(value) for name, value in {n: bit_sum(tree) for n, tree in items.items()}.items()}
        self._scores[vector_step] = score
        finite = score if math.isfinite(score) else None
        metadata = Metadata(self._config, finite, self._replay, checksums)._asdict()
        saved = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        saved["metadata"] = ocp.args.JsonSave(metadata | {"checksum": json_checksum(metadata)})
        with self._writing():
            if not self._manager.save(vector_step, args=ocp.args.Composite(**saved)):
                raise OSError(f"a checkpoint of {vector_step:,} vector steps or more is there already")
            if jax.default_backend() == "cpu":  # whose arrays are written from where they are, and trained on next
                self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything is written.

        Raises:
          SettingError: it could not be written, and this was not said before.
        """
        if self._failed:
            with contextlib.suppress(Exception):
                self._manager.close()
            return
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Makes one sentence of whatever Orbax raises."""
        try:
            with muted_late_errors():
                yield
        except Exception as error:
            self._failed = True
            raise SettingError(
                f"out must be a folder that can be written, and a checkpoint in {self._place} was not "
                f"({in_one_line(error)})."
            ) from error


class _Best:
    """Orbax's policy of what to preserve: here the checkpoint with the best score."""

    def __init__(self, scores: dict[int, float]):
        self._scores = scores

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        best = max(checkpoints, key=lambda info: self._scores.get(info.step, -math.inf), default=None)
        return [info is best for info in checkpoints]


def save_state(folder: Path, vector_step: int, state: TrainState, config: dict[str, Any]) -> None:
    """Writes the state of all seeds as the one checkpoint of a folder; `config` is the contents of config.json."""
    checkpoints = Checkpoints(folder, 1, config)
    checkpoints.save(vector_step, state, 0.0)
    checkpoints.close()


@contextlib.contextmanager
def naming_resume(
    folder: Path, check_present: Callable[[], None] | None = None, kind: Literal["run", "sweep"] = "run"
) -> Iterator[None]:
    """Adds the command that resumes a run or a sweep to an error in writing it, where there is a checkpoint.

    Args:
      check_present: raises another error if the folder is gone, which is then why it could not be written.
    """
    try:
        yield
    except (SettingError, OSError) as error:
        if check_present:
            check_present()
        sentence = str(error)
        if isinstance(error, OSError):
            sentence = f"{error.filename or folder} cannot be used ({reason(error)})."
        if saved_steps(folder):
            command = f"`ddpg-jax {'train' if kind == 'run' else kind} --resume {shlex.quote(str(folder))}`"
            sentence = f"{sentence.rstrip('.')}; {command} resumes the {kind} from its newest checkpoint."
        raise SettingError(sentence) from error


def checkpoints_folder(folder: Path) -> Path:
    """Returns where a run keeps its checkpoints."""
    return folder / "checkpoints"


def saved_steps(folder: Path) -> list[int]:
    """Returns the vector steps of all checkpoints, in order, by their names."""
    try:
        names = os.listdir(checkpoints_folder(folder))
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 12)


def newest_first(folder: Path) -> list[int]:
    """Returns the vector steps of all checkpoints, the newest first.

    Raises:
      SettingError: there is none.
    """
    found = saved_steps(folder)
    if not found:
        raise SettingError(f"{folder} holds no checkpoint.")
    return found[::-1]


def read_metadata(folder: Path, vector_step: int) -> Metadata:
    """Reads what a checkpoint says of itself.

    Raises:
      Damaged: it cannot be read, or its own checksum differs.
    """
    path = checkpoints_folder(folder) / str(vector_step) / "metadata" / "metadata"
    try:
        document = read_json(path)
        fields = document.object({*Metadata._fields, "checksum"}, set())
        contents = {name: document.value[name] for name in Metadata._fields}
        if fields["checksum"].integer(high=2**32 - 1) != json_checksum(contents):
            raise fields["checksum"].refuse(f"{json_checksum(contents)}, the checksum of the rest of the file")
        sums = fields["checksums"].object({"learner", "loop"}, set())
        return Metadata(
            config={name: value.value for name, value in fields["config"].fields().items()},
            score=fields["score"].optional(Value.number),
            replay=fields["replay"].boolean(),
            checksums={name: value.integer(high=2**32 - 1) for name, value in sums.items()},
        )
    except OSError as error:
        raise Damaged(f"{path} is damaged ({error.strerror}).") from None
    except SettingError as error:
        raise Damaged(str(error)) from None


def load_state(folder: Path, vector_step: int, shapes: TrainState, layout: Layout) -> Restored:
    """Reads the training state of a checkpoint, sharded for the devices at hand.

    A replay of another size, which the checkpoint of a run for fewer steps has, grows or is cut to the expected one.

    Args:
      shapes: what is expected, as `Programs.shapes` gives it.

    Raises:
      Damaged: it cannot be read, or holds something else.
    """

    def expected(leaf, sharding):
        leaf = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    replay = read_metadata(folder, vector_step).replay
    wanted = _array_items(jax.tree.map(expected, shapes, shardings(shapes, layout, STATE)), replay)
    stored = _restore(folder, vector_step, wanted)

    def restored(path, leaf):
        if not leaf.size:
            return jnp.zeros(leaf.shape, leaf.dtype)
        value = stored["loop"][_name(path)]
        if _name(path).startswith(MEMORY):
            return resized(value, leaf.shape[1], layout)
        return jax.random.wrap_key_data(value) if _is_key(leaf) else value

    state = jax.tree_util.tree_map_with_path(restored, _loop_fields(shapes, replay))
    return Restored(vector_step, TrainState(**{"memory": ()} | state, learner=Learner(**stored["learner"])), replay)


def load_learner(folder: Path, vector_step: int, shapes: Learner) -> Learner:
    """Reads the learner of a checkpoint, every leaf [S, ...]; `shapes` is what is expected.

    Raises:
      Damaged: it cannot be read, or holds something else.
    """
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), _learner_fields(shapes)
    )
    return Learner(**_restore(folder, vector_step, {"learner": expected})["learner"])


def set_aside(folder: Path, vector_step: int) -> None:
    """Moves a damaged checkpoint out of the way."""
    beside = folder / DAMAGED
    beside.mkdir(exist_ok=True)
    free = next(name for name in (f"{vector_step}-{i}" for i in range(1, 1000)) if not (beside / name).exists())
    (checkpoints_folder(folder) / str(vector_step)).rename(beside / free)


def _restore(folder: Path, vector_step: int, wanted: dict[str, Any]) -> dict[str, Any]:
    """Reads these items of a checkpoint, the replay with as many rows as it has, and compares their checksums."""
    import orbax.checkpoint as ocp

    path = real_path(checkpoints_folder(folder) / str(vector_step))
    checksums = read_metadata(folder, vector_step).checksums
    try:
        _refuse_special_files(path)
        items = {name: ocp.args.StandardRestore(as_stored(path / name, tree)) for name, tree in wanted.items()}
        with muted_late_errors(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            stored = dict(reader.restore(path, args=ocp.args.Composite(**items)))
    except Exception as error:  # whatever a flipped bit leads to
        raise Damaged(f"{path} is damaged ({in_one_line(error)}).") from error
    for name in wanted:
        if int(bit_sum(stored[name])) != checksums[name]:
            raise Damaged(f"{path / name} is damaged (its checksum differs).")
    return stored


def _refuse_special_files(folder: Path) -> None:
    """Raises OSError unless everything below a folder is a regular file or a folder: reading a pipe would hang."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            check_regular(os.stat(path), path)


def _score(folder: Path, vector_step: int) -> float:
    """Returns the evaluation score that a checkpoint was saved with."""
    try:
        score = read_metadata(folder, vector_step).score
    except Damaged:
        score = None
    return -math.inf if score is None else score


def _array_items(state: TrainState, replay: bool) -> dict[str, Any]:
    """Returns the items "learner" and "loop". Leaves without elements, which MuJoCo has and Orbax refuses, are out."""
    loop = jax.tree.leaves_with_path(_loop_fields(state, replay))
    return {"learner": _learner_fields(state.learner), "loop": {_name(path): leaf for path, leaf in loop if leaf.size}}


def _loop_fields(state: TrainState, replay: bool) -> dict[str, Any]:
    left_out = {"learner"} if replay else {"learner", "memory"}
    return {name: getattr(state, name) for name in TrainState.__dataclass_fields__ if name not in left_out}


def _learner_fields(learner: Learner) -> dict[str, Any]:
    """Returns the learner's fields; one without arrays is left out, so that a new kind keeps old runs readable."""
    fields = {name: getattr(learner, name) for name in Learner.__dataclass_fields__}
    return {name: value for name, value in fields.items() if name != "normalizer" or jax.tree.leaves(value)}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path)


def _is_key(leaf: Any) -> bool:
    """Whether an array holds typed random keys, which are saved as their numbers."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
