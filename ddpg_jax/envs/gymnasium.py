"""Gymnasium's side of an environment: ours behind its interface, and theirs opened and checked."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.spaces import Box

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env, EnvState, Spec


class Adapter(gymnasium.Env):
    """One of our environments as a `gymnasium.Env`; arguments as for `as_gymnasium`.

    All randomness comes from Gymnasium's own `np_random`: `reset(seed=...)` starts it anew, and a reset without a seed
    goes on from where it is.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012 (Gymnasium's way)

    def __init__(self, env: Env, seed: int | None = None, render: Callable[[EnvState], Any] | None = None):
        spec = env.spec
        self.observation_space = Box(*limits(spec.obs_dtype), spec.obs_shape, spec.obs_dtype.type)
        self.action_space = Box(spec.action_low, spec.action_high, dtype=np.float32)
        self.render_mode = None if render is None else "rgb_array"
        self._render, self._name = render, spec.name
        self._state: EnvState | None = None
        self._clock = 0
        if seed is not None:
            self._np_random, self._np_random_seed = gymnasium.utils.seeding.np_random(seed)

        def step(key, vector_step, state, action):
            state, transition = env.step(jax.random.fold_in(key, vector_step), state, spec.from_native(action))
            return state, (transition.reward, transition.terminated, transition.truncated)

        self._begin, self._step = jax.jit(env.reset), jax.jit(step)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """A fresh episode: (obs [*O], {})."""
        super().reset(seed=seed)
        reset_key, self._key = jax.random.split(jax.random.key(int(self.np_random.integers(2**31))))
        self._state, self._clock = self._begin(reset_key), 0
        return np.asarray(self._state.obs), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """(obs [*O], reward, terminated, truncated, {}); an action outside the bounds is taken at them.

        Raises:
          ResetNeeded: no episode has begun.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("reset must be called before step.")
        self._state, told = self._step(self._key, self._clock, self._state, np.asarray(action, np.float32))
        self._clock += 1
        reward, terminated, truncated = jax.device_get(told)
        return np.asarray(self._state.obs), float(reward), bool(terminated), bool(truncated), {}

    def __str__(self) -> str:
        return self._name

    def render(self) -> Any:
        """The picture of the present state [H, W, 3] in bytes; None where nothing was given to draw with."""
        return None if self._render is None or self._state is None else np.asarray(self._render(self._state))


def limits(dtype: np.dtype) -> tuple[Any, Any]:
    """What an observation of this dtype can be; of its own bounds an environment of ours says nothing."""
    if dtype.kind == "f":
        return -np.inf, np.inf
    return (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)


def opened(env: Any) -> gymnasium.Env:
    """A Gymnasium environment from its id, or as it is.

    Raises:
      SettingError: there is no such id, its libraries are not installed, or it is no Gymnasium environment.
    """
    if isinstance(env, gymnasium.Env):
        return env
    if not isinstance(env, str):
        raise SettingError(f"env must be a Gymnasium id or a gymnasium.Env, not a {type(env).__name__}.")
    try:
        return gymnasium.make(env)
    except (gymnasium.error.Error, ImportError) as error:
        said = " ".join(str(error).split()).rstrip(".").replace(". ", "; ")
        raise SettingError(f"Gymnasium does not make {env!r} ({said}).") from None


def check_spaces(env: gymnasium.Env, spec: Spec, name: str) -> None:
    """Passes an environment whose observations and actions are those of `spec`.

    Raises:
      SettingError: naming the first difference.
    """
    seen, done = env.observation_space, env.action_space
    if not isinstance(seen, Box) or not isinstance(done, Box):
        raise SettingError(f"{name} must observe a Box and act in one, not {seen} and {done}.")
    if seen.shape != spec.obs_shape or not np.can_cast(np.dtype(seen.dtype), spec.obs_dtype, "same_kind"):
        raise SettingError(
            f"{name} must give observations of shape {spec.obs_shape} and dtype {spec.obs_dtype}, on which the policy "
            f"for {spec.name} was trained, not {seen.shape} and {seen.dtype}."
        )
    bounds = done.low.tolist(), done.high.tolist()
    wanted = spec.action_low.tolist(), spec.action_high.tolist()
    if done.shape != spec.action_low.shape or not np.allclose(bounds, wanted):
        raise SettingError(
            f"{name} must take actions from {wanted[0]} to {wanted[1]}, as the policy for {spec.name} gives them, not "
            f"from {bounds[0]} to {bounds[1]}."
        )
