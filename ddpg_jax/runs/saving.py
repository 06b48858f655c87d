"""Checkpoints of a run that is going on: the newest few and the best one.

Each is written beside its final name and renamed when it is whole, so that an end at any instant leaves the one before.
"""

import math
from pathlib import Path
from typing import Any

import jax

from ddpg_jax.runs.checkpoint import Damaged, about, saved_steps, in_one_line, is_key, parts_of, place_of
from ddpg_jax.runs.checksum import bit_sum, seal
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import TrainState


class Checkpoints:
    """The checkpoints of a run that is going on: the newest `keep` and the one with the best evaluation.

    Args:
      folder: the run folder.
      keep: how many.
      config: what config.json says.
      replay: whether the memory is kept, too.
    """

    def __init__(self, folder: Path, keep: int, config: dict[str, Any], replay: bool = True):
        import orbax.checkpoint as ocp  # here and below: a fifth of what importing this package would take
        from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, LatestN

        self._scores = {vector_step: _score(folder, vector_step) for vector_step in saved_steps(folder)}
        self._config, self._replay = config, replay
        kept = AnyPreservationPolicy([LatestN(keep), _Best(self._scores)])
        options = ocp.CheckpointManagerOptions(preservation_policy=kept, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(place_of(folder).resolve(), options=options)

    def save(self, vector_step: int, state: TrainState, score: float) -> None:
        """Begins to write; returns as soon as the state may be trained on.

        Raises:
          SettingError: there is no room, or it cannot be written.
        """
        import orbax.checkpoint as ocp

        parts, sums = _pack(state, self._replay)
        self._scores[vector_step] = score
        said = {"config": self._config, "score": score if math.isfinite(score) else None, "replay": self._replay}
        said["sums"] = {name: int(value) for name, value in sums.items()}
        saved = {name: ocp.args.StandardSave(tree) for name, tree in parts.items()}
        about = ocp.args.JsonSave(said | {"seal": seal(said)})
        try:
            self._manager.save(vector_step, args=ocp.args.Composite(**saved, about=about))
            if jax.default_backend() == "cpu":  # whose arrays are written from where they are, and trained on next
                self._manager.wait_until_finished()
        except (OSError, ValueError, RuntimeError) as error:
            raise _unwritten(self._manager.directory, error) from error

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
          SettingError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
            self._manager.close()
        except (OSError, ValueError, RuntimeError) as error:
            raise _unwritten(self._manager.directory, error) from error


def _unwritten(place: Any, error: Exception) -> SettingError:
    return SettingError(
        f"out must be a folder that can be written, and a checkpoint in {place} was not ({in_one_line(error)})."
    )


class _Best:
    """Orbax's way of asking what to keep: here the checkpoint with the best score."""

    def __init__(self, scores: dict[int, float]):
        self._scores = scores

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        best = max(checkpoints, key=lambda info: self._scores.get(info.step, -math.inf), default=None)
        return [info is best for info in checkpoints]


def save_state(folder: Path, vector_step: int, state: TrainState, config: dict[str, Any]) -> None:
    """Writes the whole state of all seeds under `folder`/checkpoints/`vector_step`; `config` is what config.json says."""
    checkpoints = Checkpoints(folder, 1, config)
    checkpoints.save(vector_step, state, 0.0)
    checkpoints.close()


def _score(folder: Path, vector_step: int) -> float:
    """The evaluation that a checkpoint was stored with."""
    try:
        score = about(folder, vector_step)["score"]
    except Damaged:
        score = None
    return -math.inf if score is None else score


def _pack(state: TrainState, replay: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The array parts of a checkpoint, keys as their numbers, and their sums."""
    parts = parts_of(jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, state), replay)
    return parts, {name: bit_sum(tree) for name, tree in parts.items()}
