"""States on disk, by Orbax: arrays and their tree, nothing that executes.

A checkpoint has two parts: "learner", all that a policy needs, and "loop", the rest of the training state. It is
written beside its final name and renamed when it is whole, so that an end at any instant leaves the one before.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.parallel import STATE
from ddpg_jax.seeds import Layout, shardings
from ddpg_jax.settings import SettingError
from ddpg_jax.types import Learner, TrainState


def _manager(folder: Path, **options: Any) -> Any:
    import orbax.checkpoint as ocp  # here and below: a fifth of what importing this package would take

    return ocp.CheckpointManager(folder.resolve() / "checkpoints", options=ocp.CheckpointManagerOptions(**options))


class Checkpoints:
    """The checkpoints of a run that is going on: the newest `keep` and the one with the best evaluation."""

    def __init__(self, folder: Path, keep: int):
        from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

        score = lambda metrics: metrics["eval_return"]  # noqa: E731
        kept = AnyPreservationPolicy([LatestN(keep), BestN(get_metric_fn=score, n=1)])
        self._manager = _manager(folder, preservation_policy=kept, cleanup_tmp_directories=True)

    def save(self, clock: int, state: TrainState, score: float) -> None:
        """Begins to write; returns as soon as the state may be trained on."""
        import orbax.checkpoint as ocp

        learner, loop = _pack(state)
        parts = {"learner": ocp.args.StandardSave(learner), "loop": ocp.args.StandardSave(loop)}
        self._manager.save(clock, args=ocp.args.Composite(**parts), metrics={"eval_return": score})
        if jax.default_backend() == "cpu":  # whose arrays are written from where they are, and trained on next
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()


def save_state(folder: Path, clock: int, state: TrainState) -> None:
    """Writes the whole state of all seeds under `folder`/checkpoints/`clock`."""
    checkpoints = Checkpoints(folder, keep=1)
    checkpoints.save(clock, state, 0.0)
    checkpoints.close()


@jax.jit
def _pack(state: TrainState) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two parts of a checkpoint, keys as their numbers."""
    state = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)
    return _parts(state.learner), {
        _name(path): leaf for path, leaf in jax.tree.leaves_with_path(_loop(state)) if leaf.size
    }


def _loop(state: TrainState) -> dict[str, Any]:
    """All but the learner. Leaves without elements, which MuJoCo has and Orbax refuses, are not stored."""
    return {name: getattr(state, name) for name in TrainState.__dataclass_fields__ if name != "learner"}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def load_state(folder: Path, shapes: TrainState, layout: Layout) -> tuple[int, TrainState]:
    """The newest checkpoint: its clock and its state, laid out for the devices at hand.

    Args:
      shapes: what is expected, as `Programs.shapes` gives it.

    Raises:
      SettingError: there is no checkpoint, or it holds something else.
    """
    import orbax.checkpoint as ocp

    def expected(leaf, sharding):
        leaf = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    wanted = jax.tree.map(expected, shapes, shardings(shapes, layout, STATE))
    loop = {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(_loop(wanted)) if leaf.size}
    parts = {"learner": ocp.args.StandardRestore(_parts(wanted.learner)), "loop": ocp.args.StandardRestore(loop)}
    clock, stored = _restore(folder, parts)

    def back(path, leaf):
        if not leaf.size:
            return jnp.zeros(leaf.shape, leaf.dtype)
        value = stored["loop"][_name(path)]
        return jax.random.wrap_key_data(value) if _is_key(leaf) else value

    loop_state = jax.tree_util.tree_map_with_path(back, _loop(shapes))
    return clock, TrainState(learner=Learner(**stored["learner"]), **loop_state)


def load_learner(folder: Path, shapes: Learner) -> Learner:
    """Reads the newest learner, every leaf [S, ...].

    Args:
      shapes: what is expected, as `jax.eval_shape` gives it.

    Raises:
      SettingError: there is no checkpoint, or it holds something else.
    """
    import orbax.checkpoint as ocp

    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), _parts(shapes)
    )
    return Learner(**_restore(folder, {"learner": ocp.args.StandardRestore(expected)})[1]["learner"])


def _restore(folder: Path, parts: dict[str, Any]) -> tuple[int, Any]:
    """The clock and these parts of the newest checkpoint."""
    import orbax.checkpoint as ocp

    if not (folder / "checkpoints").is_dir():
        raise SettingError(f"{folder} holds no checkpoint.")
    with _manager(folder, create=False) as manager:
        clock = manager.latest_step()
        if clock is None:
            raise SettingError(f"{folder} holds no checkpoint.")
        try:
            return clock, manager.restore(clock, args=ocp.args.Composite(**parts))
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            raise SettingError(f"{folder} holds a checkpoint that does not fit its config.json ({reason}).") from error


def _parts(learner: Learner) -> dict[str, Any]:
    """The learner's fields; one without arrays is left out, so that a new kind of field keeps old runs readable."""
    fields = {name: getattr(learner, name) for name in Learner.__dataclass_fields__}
    return {name: value for name, value in fields.items() if name != "normaliser" or jax.tree.leaves(value)}
