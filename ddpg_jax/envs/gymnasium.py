"""Converts an `Env` to a `gymnasium.Env`, and checks that a Gymnasium environment matches a `Spec`."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.spaces import Box

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env, EnvState, Spec


class Adapter(gymnasium.Env):
    """One of our environments as a `gymnasium.Env`; the arguments are those of `as_gymnasium`.

    All randomness comes from Gymnasium's own generator `np_random`: `reset(seed=...)` seeds it, and a reset without a
    seed continues with it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012 (Gymnasium wants a class attribute)

    def __init__(self, env: Env, seed: int | None = None, render: Callable[[EnvState], Any] | None = None):
        spec = env.spec
        self.observation_space = Box(*dtype_bounds(spec.obs_dtype), spec.obs_shape, spec.obs_dtype.type)
        self.action_space = Box(spec.action_low, spec.action_high, dtype=np.float32)
        self.render_mode = None if render is None else "rgb_array"
        self._render, self._name = render, spec.name
        self._state: EnvState | None = None
        self._step_index = 0
        if seed is not None:
            self._np_random, self._np_random_seed = gymnasium.utils.seeding.np_random(seed)

        def begin(key):
            with jax.default_matmul_precision("float32"):  # as in `evaluate`
                return env.reset(key)

        def step(key, vector_step, state, action):
            with jax.default_matmul_precision("float32"):
                state, transition = env.step(jax.random.fold_in(key, vector_step), state, spec.from_native(action))
            return state, (transition.reward, transition.terminated, transition.truncated)

        self._begin, self._step = jax.jit(begin), jax.jit(step)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Starts an episode and returns (obs [*O], {})."""
        super().reset(seed=seed)
        reset_key, self._key = jax.random.split(jax.random.key(int(self.np_random.integers(2**31))))
        self._state, self._step_index = self._begin(reset_key), 0
        return np.asarray(self._state.obs), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Returns (obs [*O], reward, terminated, truncated, {}); actions are clipped to the bounds.

        Raises:
          ResetNeeded: no episode has begun.
          SettingError: the action has another shape than `action_space`.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("reset must be called before step.")
        if np.shape(action) != self.action_space.shape:
            raise SettingError(
                f"action must have shape {self.action_space.shape} for {self._name}, not {np.shape(action)}."
            )
        self._state, outcome = self._step(self._key, self._step_index, self._state, np.asarray(action, np.float32))
        self._step_index += 1
        reward, terminated, truncated = jax.device_get(outcome)
        return np.asarray(self._state.obs), float(reward), bool(terminated), bool(truncated), {}

    def __str__(self) -> str:
        return self._name

    def render(self) -> Any:
        """Returns an image [H, W, 3] of the present state; None where no `render` was given or no episode has begun."""
        return None if self._render is None or self._state is None else np.asarray(self._render(self._state))


def dtype_bounds(dtype: np.dtype) -> tuple[Any, Any]:
    """Returns the bounds of an observation of this dtype; our environments declare no others."""
    if dtype.kind == "f":
        return -np.inf, np.inf
    return (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)


def open_env(env: Any) -> gymnasium.Env:
    """Returns the Gymnasium environment with an id; an environment is returned unchanged.

    Raises:
      SettingError: there is no such id, its libraries are not installed, or `env` is not a Gymnasium environment.
    """
    if isinstance(env, gymnasium.Env):
        return env
    if not isinstance(env, str):
        raise SettingError(f"env must be a Gymnasium id or a gymnasium.Env, not a {type(env).__name__}.")
    try:
        return gymnasium.make(env)
    except Exception as error:  # the environment's own constructor may raise anything
        words = " ".join((str(error) or type(error).__name__).split()).rstrip(".").replace(". ", "; ")
        raise SettingError(f"Gymnasium does not make {env!r} ({words}).") from None


def check_spaces(env: gymnasium.Env, spec: Spec, name: str) -> None:
    """Checks that an environment has the observations and actions of `spec`.

    Raises:
      SettingError: its spaces differ from those of `spec`; the message names the first difference.
    """
    observations, actions = env.observation_space, env.action_space
    if not isinstance(observations, Box) or not isinstance(actions, Box):
        raise SettingError(f"{name} must have Boxes of observations and of actions, not {observations} and {actions}.")
    fits = np.can_cast(np.dtype(observations.dtype), spec.obs_dtype, "same_kind")
    if observations.shape != spec.obs_shape or not fits:
        raise SettingError(
            f"{name} must give observations of shape {spec.obs_shape} and dtype {spec.obs_dtype}, on which the policy "
            f"for {spec.name} was trained, not {observations.shape} and {observations.dtype}."
        )
    bounds = actions.low.tolist(), actions.high.tolist()
    wanted = spec.action_low.tolist(), spec.action_high.tolist()
    if actions.shape != spec.action_low.shape or not np.allclose(bounds, wanted):
        raise SettingError(
            f"{name} must take actions from {wanted[0]} to {wanted[1]}, as the policy for {spec.name} gives them, not "
            f"from {bounds[0]} to {bounds[1]}."
        )
