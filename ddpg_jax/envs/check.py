"""An environment of one's own, tried out before anything is trained on it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.settings import SettingError, count
from ddpg_jax.core.types import Transition
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.envs.make import make_env

TRIED = 16  # environments, side by side


def check_env(env: Any, steps: int = 200, seed: int = 0, **options: Any) -> None:
    """Plays random actions in an environment and refuses what no agent could learn from.

    Args:
      env, options: as for `make_env`.
      steps: of each of 16 environments, restarts included.
      seed: of the actions and the initial states.

    Raises:
      SettingError: naming the field: reset and step disagree in structure, shape or dtype; a reward or an observation
        is not finite; an observation leaves the bounds of the environment's own `observation_space`.
    """
    count("steps", steps)
    made = make_env(env, **options)
    name, vec_env = made.spec.name, vectorize(made, TRIED, "every-step")

    def play(key: jax.Array) -> tuple[jax.Array, Transition]:
        first = vec_env.reset(key)

        def step(state, vector_step):
            act_key, env_key = jax.random.split(jax.random.fold_in(key, vector_step))
            action = jax.random.uniform(act_key, (TRIED, made.spec.action_size), minval=-1.0, maxval=1.0)
            state, transition, _ = vec_env.step(env_key, state, action)
            return state, transition

        return first.env.obs, jax.lax.scan(step, first, jnp.arange(steps))[1]

    first, played = jax.device_get(jax.jit(play)(jax.random.key(seed)))
    _finite(name, "obs after reset", first[None])
    for what, values in (("obs", played.next_obs), ("reward", played.reward)):
        _finite(name, what, values)
    if not isinstance(env, str) and hasattr(env, "observation_space"):
        low, high = _bounds(env, options.get("params"))
        for what, values in (("obs after reset", first[None]), ("obs", played.next_obs)):
            _inside(name, what, values, low, high)


def _finite(name: str, what: str, values: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        step, _, *place = bad[0].tolist()
        raise SettingError(
            f"{name} must give finite numbers, and {what}{place or ''} is {values[tuple(bad[0])]} at step {step}."
        )


def _bounds(env: Any, params: Any) -> tuple[Any, Any]:
    space = env.observation_space(params if params is not None else getattr(env, "default_params", None))
    return getattr(space, "low", -np.inf), getattr(space, "high", np.inf)


def _inside(name: str, what: str, values: np.ndarray, low: Any, high: Any) -> None:
    low, high = (np.broadcast_to(np.asarray(bound, np.float64), values.shape[2:]) for bound in (low, high))
    slack = 1e-5 * np.maximum(1, np.abs(values))  # a bound that does not fit float32
    bad = np.argwhere((values < low - slack) | (values > high + slack))
    if len(bad):
        step, _, *place = bad[0].tolist()
        raise SettingError(
            f"{name} must stay within its observation_space, and {what}{place or ''} is {values[tuple(bad[0])]:g} at "
            f"step {step}, outside {low[tuple(place)]:g} to {high[tuple(place)]:g}."
        )
