"""`check_env`: finds faults of an environment before anything is trained on it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.environment import check_int32
from ddpg_jax.core.settings import SettingError, check_count, shown
from ddpg_jax.core.types import Array, Env, Key, Transition
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.envs.calls import called
from ddpg_jax.envs.make import make_env
from ddpg_jax.envs.objects import instance, is_own

NUM_ENVS = 16  # stepped in parallel


def check_env(env: Any, steps: int = 200, seed: int = 0, **options: Any) -> None:
    """Takes random actions in 16 copies of an environment in parallel, and checks what they return.

    Args:
      env, options: as for `make_env`.
      steps: number of steps of each copy; copies reset automatically.
      seed: determines the actions and the initial states.

    Raises:
      SettingError: as for `make_env`; a number cannot be used; a reward or an observation is not finite; or an
        observation leaves the bounds of the environment's own `observation_space`. The message names the field.
    """
    check_count("steps", steps)
    check_int32("seed", seed)
    made = make_env(env, **options)
    name = made.spec.name
    with jax.default_matmul_precision("float32"):  # as in training, by default
        first, transitions = jax.device_get(jax.jit(partial(_play, made, steps))(jax.random.key(seed)))
    _finite(name, "obs after reset", first[None])
    for what, values in (("obs", transitions.next_obs), ("reward", transitions.reward)):
        _finite(name, what, values)
    own = instance(env) if is_own(env) else env
    if hasattr(own, "observation_space"):
        low, high = _bounds(own, options.get("params"), name, made.spec.obs_shape)
        for what, values in (("obs after reset", first[None]), ("obs", transitions.next_obs)):
            _inside(name, what, values, low, high)


def _play(env: Env, steps: int, key: Key) -> tuple[Array, Transition]:
    """Returns the first observations [N, *O], and the transitions [steps, N, ...] of uniform random actions."""
    vec_env = vectorize(env, NUM_ENVS, "every-step")
    first = vec_env.reset(key)

    def step(state, vector_step):
        act_key, env_key = jax.random.split(jax.random.fold_in(key, vector_step))
        action = jax.random.uniform(act_key, (NUM_ENVS, env.spec.action_size), minval=-1.0, maxval=1.0)
        state, transitions, _ = vec_env.step(env_key, state, action)
        return state, transitions

    return first.env.obs, jax.lax.scan(step, first, jnp.arange(steps))[1]


def _finite(name: str, what: str, values: np.ndarray) -> None:
    """Checks that all values [steps, N, ...] are finite."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        step, _, *place = bad[0].tolist()
        raise SettingError(
            f"{name} must give finite numbers, and {what}{place or ''} is {values[tuple(bad[0])]} at step {step}."
        )


def _bounds(env: Any, params: Any, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bounds [*O] of the environment's own `observation_space`; infinite ones where it has none.

    Raises:
      SettingError: it raises an error, or its bounds are not numbers of the shape of an observation.
    """
    params = params if params is not None else getattr(env, "default_params", None)
    space = called(name, env.observation_space, params) if callable(env.observation_space) else env.observation_space
    bounds = getattr(space, "low", -np.inf), getattr(space, "high", np.inf)
    try:
        low, high = (np.broadcast_to(np.asarray(bound, np.float64), shape) for bound in bounds)
    except (TypeError, ValueError):
        found = " to ".join(shown(bound) for bound in bounds)
        raise SettingError(
            f"{name} must have an observation_space with bounds that are numbers of the shape {shape} of obs, not "
            f"{found}."
        ) from None
    return low, high


def _inside(name: str, what: str, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Checks that all values [steps, N, ...] are within the bounds."""
    slack = 1e-5 * np.maximum(1, np.abs(values))  # for bounds that float32 rounds
    bad = np.argwhere((values < low - slack) | (values > high + slack))
    if len(bad):
        step, _, *place = bad[0].tolist()
        raise SettingError(
            f"{name} must stay within its observation_space, and {what}{place or ''} is {values[tuple(bad[0])]:g} at "
            f"step {step}, outside {low[tuple(place)]:g} to {high[tuple(place)]:g}."
        )
