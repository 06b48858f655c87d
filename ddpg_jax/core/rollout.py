"""Whole episodes of a policy, state by state, in one scan on the device."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ddpg_jax.core.environment import tree_where
from ddpg_jax.core.settings import count
from ddpg_jax.core.types import Array, Env, EnvState, Key


@struct.dataclass
class Trajectory:
    """Episodes, from their first state to their last; what comes after an end repeats it."""

    states: Any  # [E, T + 1, ...] what was kept of each state
    rewards: Any  # [E, T]
    lengths: Any  # [E] int32, decisions


def whole(state: EnvState) -> EnvState:
    """Keeps all of a state."""
    return state


def rollout(
    key: Key,
    env: Env,
    policy: Callable[[Array], Array],
    episodes: int = 1,
    max_steps: int | None = None,
    select: Callable[[EnvState], Any] = whole,
) -> Trajectory:
    """Plays the episodes that `evaluate` plays with the same arguments, in one scan on the device.

    Args:
      key, env, policy, episodes: as for `evaluate`.
      max_steps: decisions after which to stop; by default those of the longest episode.
      select: what is kept of each state; by default all.

    Returns:
      The episodes as NumPy arrays, no longer than the longest of them.

    Raises:
      SettingError: `episodes` or `max_steps` is not a whole number of at least 1.
    """
    count("episodes", episodes)
    count("max_steps", 1 if max_steps is None else max_steps)
    steps = min(max_steps or env.spec.max_decisions, env.spec.max_decisions)
    played = jax.device_get(jax.jit(functools.partial(_play, env, policy, episodes, steps, select))(key))
    longest = int(played.lengths.max())
    states = jax.tree.map(lambda leaf: leaf[:, : longest + 1], played.states)
    return Trajectory(states, played.rewards[:, :longest], played.lengths)


def _play(env: Env, policy: Any, episodes: int, steps: int, select: Any, key: Key) -> Trajectory:
    reset_key, step_key = jax.random.split(key)
    first = jax.vmap(env.reset)(jax.random.split(reset_key, episodes))

    def step(carry, vector_step):
        states, ended = carry
        keys = jax.random.split(jax.random.fold_in(step_key, vector_step), episodes)
        new, transition = jax.vmap(env.step)(keys, states, policy(states.obs))
        new = jax.vmap(tree_where)(ended, states, new)
        seen = jax.vmap(select)(new), jnp.where(ended, 0, transition.reward), ~ended
        return (new, ended | transition.ended), seen

    _, (later, rewards, going) = jax.lax.scan(step, (first, jnp.zeros(episodes, bool)), jnp.arange(steps))
    states = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), jax.vmap(select)(first), later)
    states, rewards = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (states, rewards))
    return Trajectory(states, rewards, going.sum(axis=0, dtype=jnp.int32))


def at(played: Trajectory, episode: int, step: int) -> Any:
    """What was kept of one state."""
    return jax.tree.map(lambda leaf: leaf[episode, step], played.states)
