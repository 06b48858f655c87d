"""States on disk, by Orbax: arrays and their tree, nothing that executes.

A checkpoint has two parts: "learner", all that a policy needs, and "loop", the rest of the training state.
"""

from pathlib import Path
from typing import Any

import jax

from ddpg_jax.settings import SettingError
from ddpg_jax.types import Learner, TrainState


def _manager(folder: Path, **options: Any) -> Any:
    import orbax.checkpoint as ocp  # here and below: a fifth of what importing this package would take

    return ocp.CheckpointManager(folder.resolve() / "checkpoints", options=ocp.CheckpointManagerOptions(**options))


def _parts(learner: Learner) -> dict[str, Any]:
    """The learner's fields; one without arrays is left out, so that a new kind of field keeps old runs readable."""
    fields = {name: getattr(learner, name) for name in Learner.__dataclass_fields__}
    return {name: value for name, value in fields.items() if name != "normaliser" or jax.tree.leaves(value)}


def save_state(folder: Path, clock: int, state: TrainState) -> None:
    """Writes the whole state of all seeds under `folder`/checkpoints/`clock`."""
    import orbax.checkpoint as ocp

    loop = {"key": state.key, "env": state.env, "noise": state.noise, "memory": state.memory, "numbers": state.numbers}
    # Orbax refuses arrays without elements, which MuJoCo's states have; their shapes say all there is to know.
    loop = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(loop) if leaf.size}
    with _manager(folder) as manager:
        parts = {"learner": ocp.args.StandardSave(_parts(state.learner)), "loop": ocp.args.StandardSave(loop)}
        manager.save(clock, args=ocp.args.Composite(**parts))


def load_learner(folder: Path, shapes: Learner) -> Learner:
    """Reads the newest learner, every leaf [S, ...].

    Args:
      shapes: what is expected, as `jax.eval_shape` gives it.

    Raises:
      SettingError: there is no checkpoint, or it holds something else.
    """
    import orbax.checkpoint as ocp

    if not (folder / "checkpoints").is_dir():
        raise SettingError(f"{folder} holds no checkpoint.")
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), _parts(shapes)
    )
    with _manager(folder, create=False) as manager:
        if manager.latest_step() is None:
            raise SettingError(f"{folder} holds no checkpoint.")
        parts = {"learner": ocp.args.StandardRestore(expected)}
        try:
            return Learner(**manager.restore(manager.latest_step(), args=ocp.args.Composite(**parts))["learner"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            raise SettingError(f"{folder} holds a checkpoint that does not fit its config.json ({reason}).") from error
