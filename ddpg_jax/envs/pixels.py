"""Environments with images as observations, rendered on the device (Lillicrap et al. 2016, section 7).

An action is repeated three times, each of the three states is rendered at 64 x 64, and the three images are the
channels of the observation [H, W, 3] of bytes, the oldest first. One image shows positions; velocities are visible only
in the differences between channels. The images are gray; in the paper they have three colors, and so nine channels.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.environment import as_state, cast_like, check_episode, env_from_functions
from ddpg_jax.core.settings import SettingError, check_count
from ddpg_jax.core.types import Array, Env, EnvState, Spec
from ddpg_jax.envs.calls import called, trace_step
from ddpg_jax.envs.gymnax import MOUNTAIN_CAR, RETURNS, STYLE, functions_of, registered
from ddpg_jax.envs.pixel_renderers import mountain_car, pendulum

RENDERERS = {"Pendulum-v1": pendulum, MOUNTAIN_CAR: mountain_car}
OPTIONS = ("size", "episode_length", "action_repeat")
NO_IMAGE = np.zeros(0, np.uint8)  # the observation until the images are rendered


def names() -> list[str]:
    """Returns the ids of the gymnax tasks that have a renderer."""
    return list(RENDERERS)


def make(name: str, *, size: int = 64, **options: Any) -> Env:
    """Returns a gymnax task with images of `size` x `size` pixels as observations.

    Args:
      name: without the prefix "pixels/".
      size: width and height in pixels.
      options: those of `pixels`.

    Raises:
      SettingError: `size` is not a whole number of at least 1.
    """
    check_count("size", size)
    env, params = registered(name)
    return pixels(env, RENDERERS[name](size), params=params, name=f"pixels/{name}", **options)


def pixels(
    env: Any,
    render: Callable[[Any], Array],
    *,
    params: Any = None,
    name: str | None = None,
    episode_length: int | None = None,
    action_repeat: int = 3,
    frames: int = 3,
) -> Env:
    """Returns an `Env` whose observations are the last `frames` states of a gymnax-style object, rendered.

    Observations are [H, W, frames] of bytes, the newest last; after a reset all frames show the same state. Random
    keys are used as without images: the same key and actions give the same states, rewards and ends of episodes as
    `make_env(env, action_repeat=3)`.

    An object that truncates episodes itself (`is_truncated`) must not do so before its time limit
    `max_steps_in_episode`: the replay relies on this when it stores the last images of episodes.

    Args:
      env: an object with gymnax's `reset_env`, `step_env` and `action_space`.
      render: state -> gray image [H, W] from 0, black, to 1, white, the top row first; other values are clipped.
      params, name, episode_length: as for any gymnax-style object.
      action_repeat: steps per action.
      frames: number of states in an observation.

    Raises:
      SettingError: `env` is not such an object, `render` does not return such an image, actions are discrete, an
        option is not a whole number of at least 1 or too large, `env` truncates episodes itself and has no time limit,
        or one of its functions raises an error or returns something unexpected.
    """
    check_episode(episode_length, action_repeat)
    check_count("frames", frames)
    if not all(hasattr(env, attribute) for attribute in STYLE):
        raise SettingError(f"{type(env).__name__} is not an environment in the style of gymnax ({', '.join(STYLE)}).")
    known = getattr(env, "default_params", None) if params is None else params
    if hasattr(env, "is_truncated") and not hasattr(known, "max_steps_in_episode"):
        raise SettingError(f"{type(env).__name__} needs params with max_steps_in_episode, since it has is_truncated.")
    reset, step, name, low, high, length = functions_of(env, params, name, episode_length)

    def stacked_reset(key):
        state, _ = reset(key)
        return _repeat(as_state(state, name), frames), NO_IMAGE

    def stacked_step(key, past, action):
        newest = _newest(past)
        state, _, reward, terminated, truncated = step(key, newest, action)
        new, old = (EnvState(inner, jnp.zeros(()), jnp.zeros(())) for inner in (state, newest))
        return _shift_in(past, cast_like(new, old, name).inner), NO_IMAGE, reward, terminated, truncated

    def drawn(state):
        return called(name, render, state)

    shape = _image_shape(lambda key: drawn(_newest(stacked_reset(key)[0])), name)
    spec = Spec(name, (*shape, frames), np.dtype(np.uint8), low, high, length, action_repeat, image=True)
    unseen = env_from_functions(stacked_reset, stacked_step, spec._replace(obs_shape=NO_IMAGE.shape))
    made = _rendered(unseen._replace(spec=spec), drawn)
    trace_step(made, env, RETURNS)
    return made


def _rendered(env: Env, render: Callable[[Any], Array]) -> Env:
    """Returns `env`, whose inner state is a stack of past states [frames, ...], with their images as observation.

    The stack has states and not images since they are small: moving images along the stack at every repeated step would
    take five times as long as rendering all of them once per action.
    """

    def image_of(inner):
        return _bytes(render(inner))

    def observe(state):
        return replace(state, obs=jax.vmap(image_of, out_axes=-1)(state.inner))

    def reset(key):
        return observe(env.reset(key))

    def step(key, state, action):
        new, transition = env.step(key, replace(state, obs=NO_IMAGE), action)
        new = observe(new)
        return new, replace(transition, obs=state.obs, next_obs=new.obs)

    return Env(reset, step, env.spec)


def _repeat(state: Any, frames: int) -> Any:
    """Returns a stack [frames, ...] of equal states."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * frames), state)


def _shift_in(past: Any, state: Any) -> Any:
    """Returns the stack [frames, ...] without its oldest state and with a new one at the end."""
    return jax.tree.map(lambda old, new: jnp.concatenate([old[1:], jnp.stack([new])]), past, state)


def _newest(past: Any) -> Any:
    """Returns the last state of a stack [frames, ...]."""
    return jax.tree.map(lambda leaf: leaf[-1], past)


def _bytes(image: Array) -> Array:
    """Maps [0, 1] to 0, ..., 255, rounded to the nearest."""
    return (jnp.clip(image, 0, 1) * 255 + 0.5).astype(jnp.uint8)


def _image_shape(render_first: Callable[[Array], Any], name: str) -> tuple[int, ...]:
    """Returns the shape [H, W] of the image that `render_first` returns for a key.

    Raises:
      SettingError: it does not return an image [H, W] of floats.
    """
    image = jax.eval_shape(render_first, jax.random.key(0))
    dtype, shape = getattr(image, "dtype", type(image).__name__), getattr(image, "shape", ())
    if len(shape) != 2 or not jnp.issubdtype(dtype, jnp.floating):
        raise SettingError(f"{name} needs a render that returns [H, W] floats in [0, 1], not {dtype}{list(shape)}.")
    return shape
