"""Environments seen as images, rendered on the device (Lillicrap et al. 2016, section 7: "learning from pixels").

An action is repeated three times, each of the three states is rendered at 64 x 64, and the pictures together are the
observation [H, W, 3] of bytes, the oldest first. One picture shows where things are; how fast they move is seen only
in the differences between the channels. The pictures here are grey, the paper's had three colors (nine channels).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.settings import SettingError, count
from ddpg_jax.core.types import Array, Env, Spec
from ddpg_jax.envs.gymnax import STYLE, parts
from ddpg_jax.envs.pixel_renderers import mountain_car, pendulum

RENDERERS = {"Pendulum-v1": pendulum, "MountainCarContinuous-v0": mountain_car}
OPTIONS = ("size", "episode_length", "action_repeat")
NOTHING = np.zeros(0, np.uint8)  # what the door sees in place of an image


def names() -> list[str]:
    """The gymnax tasks that can be drawn."""
    return list(RENDERERS)


def make(name: str, *, size: int = 64, **options: Any) -> Env:
    """A gymnax task drawn with `size` x `size` pixels; `options` as for `pixels`.

    Raises:
      SettingError: `size` is not a whole number of at least 1.
    """
    import gymnax

    count("size", size)
    env, params = gymnax.make(name)
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
    """A gymnax-style object, observed as its last `frames` states rendered: [H, W, frames] bytes, the newest last.

    A reset shows its one state `frames` times. Keys are used as without pictures: the same key and actions give the
    same states, rewards and ends as `make_env(env, action_repeat=3)`.

    Args:
      render: state -> its grey picture [H, W], 0 black to 1 white, the top row first; what is beyond is clipped.
      params, name, episode_length: as for any gymnax-style object.

    A truncation of the object's own has to come no sooner than its time limit, `max_steps_in_episode`: the replay keeps
    last images by it.

    Raises:
      SettingError: not such an object, not such a picture, discrete actions, an option that is no count, or
        truncations of its own without a time limit to tell them apart by.
    """
    for option, value in {"episode_length": episode_length, "action_repeat": action_repeat, "frames": frames}.items():
        count(option, 1 if value is None else value)
    if not all(hasattr(env, attribute) for attribute in STYLE):
        raise SettingError(f"{type(env).__name__} is no object in the style of gymnax ({', '.join(STYLE)}).")
    known = getattr(env, "default_params", None) if params is None else params
    if hasattr(env, "is_truncated") and not hasattr(known, "max_steps_in_episode"):
        raise SettingError(
            f"{type(env).__name__} needs params with max_steps_in_episode, since it truncates by itself."
        )
    reset, step, name, low, high, length = parts(env, params, name, episode_length)

    def begin(key):
        state, _ = reset(key)
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * frames), state), NOTHING

    def follow(key, past, action):
        state, _, reward, terminated, truncated = step(key, _newest(past), action)
        past = jax.tree.map(lambda old, new: jnp.concatenate([old[1:], jnp.stack([new])]), past, state)
        return past, NOTHING, reward, terminated, truncated

    shape = _picture_shape(lambda key: render(_newest(begin(key)[0])), name)
    spec = Spec(name, (*shape, frames), np.dtype(np.uint8), low, high, length, action_repeat, image=True)
    return _seen(env_from_functions(begin, follow, spec), render)


def _seen(env: Env, render: Callable[[Any], Array]) -> Env:
    """`env`, whose inner state is its last states [frames, ...], with their pictures as observation.

    States are kept instead of pictures because they are small: to move bytes along the stack at every repeated step
    takes five times as long as to draw all of them once per decision.
    """

    def observe(state):
        pictures = jax.vmap(lambda inner: _bytes(render(inner)), out_axes=-1)(state.inner)
        return replace(state, obs=pictures)

    def reset(key):
        return observe(env.reset(key))

    def step(key, state, action):
        new, transition = env.step(key, replace(state, obs=NOTHING), action)
        new = observe(new)
        return new, replace(transition, obs=state.obs, next_obs=new.obs)

    return Env(reset, step, env.spec)


def _newest(past: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[-1], past)


def _bytes(picture: Array) -> Array:
    """From 0 to 1 -> 0 to 255, to the nearest."""
    return (jnp.clip(picture, 0, 1) * 255 + 0.5).astype(jnp.uint8)


def _picture_shape(draw: Callable[..., Any], name: str) -> tuple[int, ...]:
    picture = jax.eval_shape(draw, jax.random.key(0))
    dtype, shape = getattr(picture, "dtype", type(picture).__name__), getattr(picture, "shape", ())
    if len(shape) != 2 or not jnp.issubdtype(dtype, jnp.floating):
        raise SettingError(f"{name} needs a render that returns [H, W] floats in [0, 1], not {dtype}{list(shape)}.")
    return shape
