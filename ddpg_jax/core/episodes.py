"""Whole episodes of a policy, all of them on the device at once: returned as totals, or as full trajectories.

`evaluate` and `play_episodes` add up what happened and stop when the last episode has ended. `rollout` keeps every
state. All three are in this file because they take the same masked step, so that the same key gives the same episodes.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ddpg_jax.core.environment import tree_where
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import check, check_count
from ddpg_jax.core.types import Array, Env, EnvState, Key, Transition

SATURATED = 0.99  # an action beyond this is as good as at its bound, where tanh is almost flat

Policy = Callable[[Array], Array]  # obs [E, *O] -> action [E, A] in [-1, 1]


@struct.dataclass
class Evaluation:
    """The outcome of E whole episodes."""

    returns: Array  # [E] sum of rewards
    lengths: Array  # [E] int32, number of actions


@struct.dataclass
class EpisodeSummary:
    """The outcome of E whole episodes, and what diagnostics need beside it."""

    returns: Array  # [E] sum of rewards
    lengths: Array  # [E] int32, number of actions
    discounted_returns: Array  # [E] sum of γᵗ rₜ
    saturated: Array  # [E] int32, number of actions with a component beyond `SATURATED`
    terminated: Array  # [E] bool: ended by termination, not by a time limit
    first_obs: Array  # [E, *O] the observation after the reset
    last_obs: Array  # [E, *O] the observation after the last action


@struct.dataclass
class Trajectory:
    """E episodes from the first state to the last, padded to T steps by repeating the last state with reward 0."""

    states: Any  # [E, T + 1, ...] what `select` returned for each state
    rewards: Any  # [E, T]
    lengths: Any  # [E] int32, number of actions

    def state_at(self, episode: int, step: int) -> Any:
        """Returns what was kept of one state."""
        return jax.tree.map(lambda leaf: leaf[episode, step], self.states)


def check_precision(matmul_precision: Any) -> None:
    """Checks that a precision of matrix products is one of those in `LoopConfig`.

    Raises:
      SettingError: it is not.
    """
    check(LoopConfig(matmul_precision=matmul_precision))


def evaluate(key: Key, env: Env, policy: Policy, episodes: int = 32, matmul_precision: str = "float32") -> Evaluation:
    """Plays `episodes` whole episodes in parallel and stops when the last one has ended.

    Args:
      key: draws the initial states and the environment's own randomness.
      env: the environment.
      policy: obs [E, *O] -> action [E, A] in [-1, 1]; for an agent, `lambda obs: agent.act(learner, obs)`.
      episodes: E.
      matmul_precision: of the matrix products of policy and environment, as in `LoopConfig`.

    Raises:
      SettingError: `episodes` is not a whole number of at least 1, or there is no such precision.
    """
    check_precision(matmul_precision)
    with jax.default_matmul_precision(matmul_precision):
        summary = play_episodes(key, env, policy, episodes)
    return Evaluation(summary.returns, summary.lengths)


def play_episodes(
    key: Key, env: Env, policy: Policy, episodes: int = 32, discount: Array | float = 1.0
) -> EpisodeSummary:
    """Plays the episodes that `evaluate` plays and returns more about them.

    Args:
      key, env, policy, episodes: as for `evaluate`.
      discount: γ per action, for `discounted_returns`.

    Raises:
      SettingError: `episodes` is not a whole number of at least 1.
    """
    check_count("episodes", episodes)
    first, step_key = _begin(key, env, episodes)

    def running(carry):
        return ~carry[1].all()

    def step(carry):
        states, ended, summary, vector_step = carry
        new, now_ended, transition = _masked_step(env, policy, step_key, vector_step, states, ended)
        summary = replace(
            summary,
            returns=summary.returns + transition.reward,
            lengths=summary.lengths + ~ended,
            discounted_returns=summary.discounted_returns + discount**vector_step * transition.reward,
            saturated=summary.saturated + (~ended & (jnp.abs(transition.action) > SATURATED).any(axis=-1)),
            terminated=summary.terminated | (~ended & transition.terminated),
        )
        return new, now_ended, summary, vector_step + 1

    zeros, no_steps, no = jnp.zeros(episodes), jnp.zeros(episodes, jnp.int32), jnp.zeros(episodes, bool)
    nothing = EpisodeSummary(zeros, no_steps, zeros, no_steps, no, first.obs, first.obs)
    states, _, summary, _ = jax.lax.while_loop(running, step, (first, no, nothing, jnp.zeros((), jnp.int32)))
    return replace(summary, last_obs=states.obs)


def whole_state(state: EnvState) -> EnvState:
    """Returns its argument: the `select` of `rollout` that keeps all of a state."""
    return state


def rollout(
    key: Key,
    env: Env,
    policy: Policy,
    episodes: int = 1,
    max_steps: int | None = None,
    select: Callable[[EnvState], Any] = whole_state,
    matmul_precision: str = "float32",
) -> Trajectory:
    """Plays the episodes that `evaluate` plays with the same arguments, and keeps their states.

    Args:
      key, env, policy, episodes, matmul_precision: as for `evaluate`.
      max_steps: number of actions after which to stop; by default those of the longest possible episode.
      select: state -> what to keep of it; by default all of it.

    Returns:
      The trajectory as NumPy arrays, as long as its longest episode.

    Raises:
      SettingError: `episodes` or `max_steps` is not a whole number of at least 1, or there is no such precision.
    """
    check_precision(matmul_precision)
    check_count("episodes", episodes)
    check_count("max_steps", 1 if max_steps is None else max_steps)
    steps = min(max_steps or env.spec.max_decisions, env.spec.max_decisions)
    record = jax.jit(functools.partial(_record, env, policy, episodes, steps, select))
    with jax.default_matmul_precision(matmul_precision):
        trajectory = jax.device_get(record(key))
    longest = int(trajectory.lengths.max())
    states = jax.tree.map(lambda leaf: leaf[:, : longest + 1], trajectory.states)
    return Trajectory(states, trajectory.rewards[:, :longest], trajectory.lengths)


def _record(
    env: Env, policy: Policy, episodes: int, steps: int, select: Callable[[EnvState], Any], key: Key
) -> Trajectory:
    """Returns the trajectory of exactly `steps` steps."""
    first, step_key = _begin(key, env, episodes)

    def step(carry, vector_step):
        states, ended = carry
        new, now_ended, transition = _masked_step(env, policy, step_key, vector_step, states, ended)
        return (new, now_ended), (jax.vmap(select)(new), transition.reward, ~ended)

    _, (later, rewards, running) = jax.lax.scan(step, (first, jnp.zeros(episodes, bool)), jnp.arange(steps))
    states = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), jax.vmap(select)(first), later)
    states, rewards = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (states, rewards))
    return Trajectory(states, rewards, running.sum(axis=0, dtype=jnp.int32))


def _begin(key: Key, env: Env, episodes: int) -> tuple[EnvState, Key]:
    """Returns the first states [E, ...] and the key from which every step derives its own."""
    reset_key, step_key = jax.random.split(key)
    return jax.vmap(env.reset)(jax.random.split(reset_key, episodes)), step_key


def _masked_step(
    env: Env, policy: Policy, step_key: Key, vector_step: Array, states: EnvState, ended: Array
) -> tuple[EnvState, Array, Transition]:
    """Steps the episodes that have not ended; those that have keep their last state and earn nothing.

    Returns:
      The states [E, ...], which episodes have ended by now [E], and the transitions [E, ...] with rewards masked.
    """
    keys = jax.random.split(jax.random.fold_in(step_key, vector_step), len(ended))
    new, transition = jax.vmap(env.step)(keys, states, policy(states.obs))
    reward = jnp.where(ended, 0, transition.reward)
    return jax.vmap(tree_where)(ended, states, new), ended | transition.ended, replace(transition, reward=reward)
