"""Deterministic evaluation: whole episodes from fresh initial states, on the device."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct

from ddpg_jax.core.environment import tree_where
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Array, Env, Key

SATURATED = 0.99  # of half a range: an action as good as at its bound, where tanh has hardly a slope


@struct.dataclass
class Evaluation:
    """What happened in each of the episodes [E]."""

    returns: Array  # sum of rewards
    lengths: Array  # int32, decisions


@struct.dataclass
class Episodes:
    """What is known of each of the whole episodes [E] that were played."""

    returns: Array  # sum of rewards
    lengths: Array  # int32, decisions
    discounted: Array  # sum of γᵗ rᵗ
    saturated: Array  # int32, decisions of which some action lay beyond `SATURATED`
    terminated: Array  # bool: not ended by a time limit
    first_obs: Array  # [E, *O]
    last_obs: Array  # [E, *O] after the last decision


def evaluate(key: Key, env: Env, policy: Callable[[Array], Array], episodes: int = 32) -> Evaluation:
    """Plays `episodes` whole episodes side by side and stops when the last one has ended.

    Args:
      key: draws the initial states and the environment's own randomness.
      policy: obs [E, *O] -> action [E, A] in [-1, 1], for an agent `lambda obs: agent.act(learner, obs)`.

    Raises:
      SettingError: `episodes` is not a whole number of at least 1.
    """
    played = play(key, env, policy, episodes)
    return Evaluation(played.returns, played.lengths)


def play(
    key: Key, env: Env, policy: Callable[[Array], Array], episodes: int = 32, discount: Array | float = 1.0
) -> Episodes:
    """The episodes that `evaluate` plays, with all that is known of them; `discount` is γ per decision."""
    if not isinstance(episodes, int) or episodes < 1:
        raise SettingError(f"episodes must be a whole number of at least 1, not {episodes!r}.")
    reset_key, step_key = jax.random.split(key)
    first = jax.vmap(env.reset)(jax.random.split(reset_key, episodes))

    def going(carry):
        return ~carry[1].all()

    def step(carry):
        states, ended, result, vector_step = carry
        keys = jax.random.split(jax.random.fold_in(step_key, vector_step), episodes)
        new, transition = jax.vmap(env.step)(keys, states, policy(states.obs))
        reward = jnp.where(ended, 0, transition.reward)
        result = replace(
            result,
            returns=result.returns + reward,
            lengths=result.lengths + ~ended,
            discounted=result.discounted + discount**vector_step * reward,
            saturated=result.saturated + (~ended & (jnp.abs(transition.action) > SATURATED).any(axis=-1)),
            terminated=result.terminated | (~ended & transition.terminated),
        )
        states = jax.vmap(tree_where)(ended, states, new)
        return states, ended | transition.ended, result, vector_step + 1

    zeros, none, no = jnp.zeros(episodes), jnp.zeros(episodes, jnp.int32), jnp.zeros(episodes, bool)
    nothing = Episodes(zeros, none, zeros, none, no, first.obs, first.obs)
    states, _, result, _ = jax.lax.while_loop(going, step, (first, no, nothing, jnp.zeros((), jnp.int32)))
    return replace(result, last_obs=states.obs)
