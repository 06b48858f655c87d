"""Adapter for the dm_control tasks of MuJoCo Playground, with the extra `playground`; they need no download."""

from typing import Any

from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.core.types import Env
from ddpg_jax.envs import brax
from ddpg_jax.envs.third_party import suppress_known_noise

IMPLS = ("jax", "warp")
OPTIONS = ("impl", "episode_length", "action_repeat")


def _suite() -> Any:
    """Imports and returns the module of the suite.

    Raises:
      SettingError: MuJoCo Playground is not installed.
    """
    try:
        with suppress_known_noise():
            from mujoco_playground import dm_control_suite
    except ImportError as error:
        raise SettingError("Environments of playground/ need the extra: pip install 'ddpg_jax[playground]'.") from error
    return dm_control_suite


def names() -> list[str]:
    """Returns the names of the tasks of the dm_control suite."""
    return list(_suite().ALL_ENVS)


def make(name: str, *, episode_length: int | None = None, action_repeat: int | None = None, impl: str = "jax") -> Env:
    """Returns a task of the dm_control suite.

    Args:
      name: without the prefix "playground/".
      episode_length, action_repeat: by default the task's own.
      impl: the implementation of the physics, one of `IMPLS`: "jax" runs everywhere, "warp" on NVIDIA GPUs.

    Raises:
      SettingError: MuJoCo Playground is not installed, or there is no such implementation.
    """
    if impl not in IMPLS:
        raise SettingError(f"impl must be one of {', '.join(IMPLS)}, not {shown(impl)}.")
    suite = _suite()
    config = suite.get_default_config(name)
    with suppress_known_noise():
        env = suite.load(name, config=config, config_overrides={"impl": impl})
        limited = env.mj_model.actuator_ctrllimited[:, None]
        low, high = (limited * env.mj_model.actuator_ctrlrange + ~limited.astype(bool) * [[-1.0, 1.0]]).T
        return brax.wrap(
            env,
            name=f"playground/{name}",
            episode_length=episode_length or config.episode_length,
            action_repeat=action_repeat or config.action_repeat,
            action_low=low,
            action_high=high,
        )
