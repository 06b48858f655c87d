"""States on disk, by Orbax: arrays and their tree, nothing that executes.

A checkpoint has two parts: "learner", all that a policy needs, and "loop", the rest of the training state.
"""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from ddpg_jax.types import Learner, TrainState


def _manager(folder: Path) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(folder.resolve() / "checkpoints")


def save_state(folder: Path, clock: int, state: TrainState) -> None:
    """Writes the whole state of all seeds under `folder`/checkpoints/`clock`."""
    loop = {"key": state.key, "env": state.env, "noise": state.noise, "memory": state.memory}
    with _manager(folder) as manager:
        parts = {"learner": ocp.args.StandardSave(state.learner), "loop": ocp.args.StandardSave(loop)}
        manager.save(clock, args=ocp.args.Composite(**parts))


def load_learner(folder: Path, shapes: Learner) -> Learner:
    """Reads the newest learner, every leaf [S, ...].

    Args:
      shapes: what is expected, as `jax.eval_shape` gives it.

    Raises:
      ValueError: there is no checkpoint, or it holds something else.
    """
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes)
    with _manager(folder) as manager:
        if manager.latest_step() is None:
            raise ValueError(f"{folder} holds no checkpoint.")
        parts = {"learner": ocp.args.StandardRestore(shapes)}
        return manager.restore(manager.latest_step(), args=ocp.args.Composite(**parts))["learner"]
