"""Memories that never leave the device: rings of vector steps, written in place, sampled in O(batch)."""

from collections.abc import Callable
from dataclasses import replace as change
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.rng import randint
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Array, Memory, Spec, Transition


def uniform_replay(
    spec: Spec, num_envs: int, capacity: int, batch_size: int, n_step: int = 1, discount: Array | float = 1.0
) -> Memory:
    """Uniform experience replay (Lillicrap et al. 2016, Algorithm 1), a row of N transitions per vector step.

    The ring has as many rows as hold at least `capacity` transitions; a new row replaces the oldest one.
    Which row is next and how many are filled follow from the vector step, so nothing is stored beside the data.
    Images are stored once: a step's successor is read from the row after it (and so the newest row waits for the next
    step), or, where a time limit cut the episode, from a small ring of last images. Where an episode terminated, an
    image's `next_obs` is the next episode's first, which a discount of 0 hides.

    Args:
      spec: gives the shapes and the observation dtype, which is kept as it is.
      num_envs: N.
      capacity: transitions to hold at least.
      batch_size: B.
      n_step: n, the rewards that a sample adds up: up to n, fewer where the episode ended or the newest row came first.
      discount: γ between those rewards.

    Returns:
      init() -> ring [rows * N, ...]; add(ring, vector_step, step [N, ...]) -> ring;
      sample(ring, num_added, key) -> [B, ...] after `num_added` vector steps, at least one (two for images), each
      starting at a step drawn uniformly with replacement from those stored. A sample's `reward` is the sum of γⁱ rᵢ
      over its k steps, `next_obs` and `truncated` are its last step's, and `discount` is γᵏ⁻¹ times its last step's, so
      that one more γ makes the n-step target of Sutton 1988.
    """
    rows = -(-capacity // num_envs) + spec.image
    # Two truncations of one environment are at least a time limit apart: `vector_step // limit` tells them apart.
    limit = spec.max_decisions
    finals = rows // limit + 2

    def at(vector_step, env):
        return vector_step % rows * num_envs + env

    def init():
        ring = _empty(spec, rows * num_envs)
        return change(ring, next_obs=_empty(spec, finals * num_envs).next_obs) if spec.image else ring

    def add(ring, vector_step, step):
        if not spec.image:
            return _write(ring, at(vector_step, 0), step)
        slot = vector_step // limit % finals * num_envs
        cut = step.truncated.reshape(num_envs, *(1 for _ in spec.obs_shape))
        final = jnp.where(cut, step.next_obs, _read(ring.next_obs, slot, num_envs))
        return _write(change(ring, next_obs=None), at(vector_step, 0), change(step, next_obs=None)).replace(
            next_obs=_write(ring.next_obs, slot, final)
        )

    def successor(ring, last, env):
        if not spec.image:
            return ring.next_obs[at(last, env)]
        cut = ring.truncated[at(last, env)].reshape(-1, *(1 for _ in spec.obs_shape))
        final = ring.next_obs[last // limit % finals * num_envs + env]
        return jnp.where(cut, final, ring.obs[at(last + 1, env)])

    def sample(ring, num_added, key):
        stored = jnp.minimum(num_added, rows)
        end = num_added - spec.image  # the vector step after the newest step that can be drawn
        index = randint(key, (batch_size,), (stored - spec.image) * num_envs)
        first, env = num_added - stored + index // num_envs, index % num_envs  # [B], a vector step
        reward, steps = _returns(ring, first, lambda vector_step: at(vector_step, env[:, None]), end, n_step, discount)
        last = first + steps - 1
        return Transition(
            obs=ring.obs[at(first, env)],
            action=ring.action[at(first, env)],
            reward=reward,
            discount=discount ** (steps - 1) * ring.discount[at(last, env)],
            truncated=ring.truncated[at(last, env)],
            next_obs=successor(ring, last, env),
        )

    return Memory(init, add, sample)


def latest(spec: Spec, num_envs: int, capacity: int, batch_size: int, n_step: int = 1, discount: Any = 1.0) -> Memory:
    """The step before the newest [N, ...], with the `next_action` that was really taken after it: on-policy data.

    Args: as for `uniform_replay`; `capacity` and `batch_size` do not matter.

    Raises:
      SettingError: `n_step` is not 1.
    """
    if n_step != 1:
        raise SettingError(f"n_step must be 1 for an on-policy method, not {n_step}.")

    def add(ring, vector_step, step):
        return _write(ring, vector_step % 2 * num_envs, step)

    def sample(ring, num_added, key):
        before = jax.tree.map(lambda leaf: _read(leaf, num_added % 2 * num_envs, num_envs), ring)
        return change(before, next_action=_read(ring.action, (num_added - 1) % 2 * num_envs, num_envs))

    return Memory(lambda: _empty(spec, 2 * num_envs), add, sample)


def _returns(
    ring: Transition, first: Array, at: Callable[[Array], Array], end: Array, n_step: int, discount: Any
) -> tuple[Array, Array]:
    """The discounted sum of rewards [B] and the number of steps k [B] from each first step: up to an end, or `end`."""
    ahead = jnp.arange(n_step)
    vector_steps = first[:, None] + ahead  # [B, n]
    where = at(vector_steps)
    ended = ring.truncated[where] | (ring.discount[where] == 0)
    inside = (jnp.cumsum(ended, axis=1) == ended) & (vector_steps < end)  # no end before it
    return jnp.where(inside, discount**ahead * ring.reward[where], 0).sum(axis=1), inside.sum(axis=1)


def _empty(spec: Spec, size: int) -> Transition:
    """A ring of `size` transitions. Without a dimension of environments, of which there may be one: with it XLA lays
    the whole ring out anew at both ends of every chunk."""
    obs, number = jnp.zeros((size, *spec.obs_shape), spec.obs_dtype), jnp.zeros(size)
    return Transition(obs, jnp.zeros((size, spec.action_size)), number, number, jnp.zeros(size, bool), obs)


def _read(leaf: Array, start: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(leaf, start, size)


def _write(tree: Any, start: Array, new: Any) -> Any:
    return jax.tree.map(lambda leaf, one: jax.lax.dynamic_update_slice_in_dim(leaf, one, start, axis=0), tree, new)
