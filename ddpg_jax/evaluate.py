"""Deterministic evaluation: whole episodes from fresh initial states, on the device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from ddpg_jax.envs.door import select
from ddpg_jax.settings import SettingError
from ddpg_jax.types import Array, Env, Key


@struct.dataclass
class Evaluation:
    """What happened in each of the episodes [E]."""

    returns: Array  # sum of rewards
    lengths: Array  # int32, decisions


def evaluate(key: Key, env: Env, policy: Callable[[Array], Array], episodes: int = 32) -> Evaluation:
    """Plays `episodes` whole episodes side by side and stops when the last one has ended.

    Args:
      key: draws the initial states and the environment's own randomness.
      policy: obs [E, *O] -> action [E, A] in [-1, 1], for an agent `lambda obs: agent.act(learner, obs)`.

    Raises:
      SettingError: `episodes` is not a whole number of at least 1.
    """
    if not isinstance(episodes, int) or episodes < 1:
        raise SettingError(f"episodes must be a whole number of at least 1, not {episodes!r}.")
    reset_key, step_key = jax.random.split(key)
    first = jax.vmap(env.reset)(jax.random.split(reset_key, episodes))

    def going(carry):
        return ~carry[1].all()

    def step(carry):
        states, ended, result, clock = carry
        keys = jax.random.split(jax.random.fold_in(step_key, clock), episodes)
        new, transition = jax.vmap(env.step)(keys, states, policy(states.obs))
        reward = jnp.where(ended, 0, transition.reward)
        result = Evaluation(result.returns + reward, result.lengths + ~ended)
        states = jax.vmap(select)(ended, states, new)
        return states, ended | transition.ended, result, clock + 1

    nothing = Evaluation(jnp.zeros(episodes), jnp.zeros(episodes, jnp.int32))
    start = (first, jnp.zeros(episodes, bool), nothing, jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(going, step, start)[2]
