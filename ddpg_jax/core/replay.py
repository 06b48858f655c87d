"""Replay memories that stay on the device: rings of vector steps, written in place and sampled in O(batch).

The two layouts of the ring and the sampling from them are in this file because sampling depends on the layout.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from ddpg_jax.core.rng import randint
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.storage import Fields, storage
from ddpg_jax.core.types import Array, Memory, Spec, Transition

OUTCOME = ("reward", "discount", "truncated")


def uniform_replay(
    spec: Spec, num_envs: int, capacity: int, batch_size: int, n_step: int = 1, discount: Array | float = 1.0
) -> Memory:
    """Returns a uniform experience replay (Lillicrap et al. 2016, Algorithm 1), with a row of N transitions per step.

    The ring has as many rows as hold at least `capacity` transitions, and a new row replaces the oldest one. Which row
    comes next and how many are filled follow from the number of steps, so nothing is stored beside the data.

    Args:
      spec: gives the shapes and the dtype of the observations, which are stored as they are.
      num_envs: N.
      capacity: transitions to hold at least.
      batch_size: B.
      n_step: n, the largest number of rewards in a sample; fewer where the episode ended or the data end.
      discount: γ between those rewards.

    Returns:
      A `Memory`. `sample` needs at least one added step (two for images) and draws the first step of each sample
      uniformly with replacement. A sample of k steps has as `reward` the sum of γⁱ rᵢ, as `next_obs` and `truncated`
      those of its last step, and as `discount` γᵏ⁻¹ times that of its last step: with one more factor γ, `td_target`
      is the n-step return (Sutton 1988).
    """
    ring = ring_of(spec, num_envs, capacity)

    def sample(data, num_added, key):
        stored = jnp.minimum(num_added, ring.rows)
        drawable = stored - ring.incomplete
        index = randint(key, (batch_size,), drawable * num_envs)
        first, env = num_added - stored + index // num_envs, index % num_envs  # [B], `first` as a vector step
        return read(ring, data, num_added, first, env, n_step, discount)

    return Memory(ring.init, ring.add, sample)


def read(
    ring: "Ring", data: Any, num_added: Array, first: Array, env: Array, n_step: int, discount: Array | float
) -> Transition:
    """Returns the samples [B] that begin at the vector steps `first` [B] of the environments `env` [B]."""
    if n_step == 1:
        return ring.transition(data, first, env)
    end = num_added - ring.incomplete  # the first vector step that cannot be drawn
    reward, steps = _n_step_return(data, ring, first, env, end, n_step, discount)
    begin, last = ring.transition(data, first, env), ring.transition(data, first + steps - 1, env)
    discounts = discount ** (steps - 1) * last.discount
    return replace(last, obs=begin.obs, action=begin.action, reward=reward, discount=discounts)


def stored_transitions(spec: Spec, num_envs: int, capacity: int, data: Any) -> Transition:
    """Returns all transitions [K, ...] that the data of a `uniform_replay` have room for, unwritten ones as zeros.

    They are in the order of the ring: K is the number of rows times N, and vector step t is in row t modulo the rows.

    Args:
      spec, num_envs, capacity: as for `uniform_replay`.
      data: what its `init` and `add` return, `TrainState.memory` of one seed.

    Raises:
      SettingError: observations are images, whose successors cannot be told from the row alone.
    """
    if spec.image:
        raise SettingError(f"obs_shape must be that of vectors, not {spec.obs_shape}, which are images.")
    ring = ring_of(spec, num_envs, capacity)
    index = jnp.arange(ring.rows * num_envs)
    return ring.transition(data, index // num_envs, index % num_envs)


def latest(spec: Spec, num_envs: int, capacity: int, batch_size: int, n_step: int = 1, discount: Any = 1.0) -> Memory:
    """Returns an on-policy memory: its sample is the vector step before the newest [N, ...], with `next_action`.

    Args:
      spec, num_envs, discount: as for `uniform_replay`.
      capacity, batch_size: have no effect.
      n_step: must be 1.

    Raises:
      SettingError: `n_step` is not 1.
    """
    if n_step != 1:
        raise SettingError(f"n_step must be 1 for an on-policy method, not {n_step}.")

    def init():
        return _empty(spec, 2 * num_envs)

    def add(data, num_added, transitions):
        _check_shapes(spec, num_envs, transitions)
        return _write(data, num_added % 2 * num_envs, transitions)

    def sample(data, num_added, key):
        before = jax.tree.map(partial(_read, start=num_added % 2 * num_envs, size=num_envs), data)
        return replace(before, next_action=_read(data.action, (num_added - 1) % 2 * num_envs, num_envs))

    return Memory(init, add, sample)


def _check_shapes(spec: Spec, num_envs: int, transitions: Transition) -> None:
    """Raises an AssertionError, while `add` is traced, where transitions are not [N, ...] as `spec` says.

    XLA would write an array of another shape over rows of the ring that it does not belong to.
    """
    chex.assert_shape([transitions.obs, transitions.next_obs], (num_envs, *spec.obs_shape))
    chex.assert_shape(transitions.action, (num_envs, spec.action_size))
    chex.assert_shape([transitions.reward, transitions.discount, transitions.truncated], (num_envs,))


class Ring(NamedTuple):
    """How transitions are laid out in a ring of `rows` rows."""

    rows: int
    incomplete: int  # newest rows that cannot be sampled yet
    init: Callable[[], Any]
    add: Callable[[Any, Array, Transition], Any]  # (data, vector step, transitions [N, ...]) -> data
    transition: Callable[[Any, Array, Array], Transition]  # (data, vector step [B], environment [B]) -> [B, ...]
    outcome: Callable[[Any, Array, Array], Fields]  # likewise -> the fields `OUTCOME`


def ring_of(spec: Spec, num_envs: int, capacity: int) -> Ring:
    """Returns the layout for observations of this kind; `add` refuses transitions of other shapes."""
    ring = _image_ring(spec, num_envs, capacity) if spec.image else _plain_ring(spec, num_envs, capacity)

    def add(data, num_added, transitions):
        _check_shapes(spec, num_envs, transitions)
        return ring.add(data, num_added, transitions)

    return ring._replace(add=add)


def _fields(spec: Spec, *names: str) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns shapes and dtypes of fields of one transition."""
    one = jax.eval_shape(partial(_empty, spec, 1))
    return {name: jax.ShapeDtypeStruct(getattr(one, name).shape[1:], getattr(one, name).dtype) for name in names}


def _plain_ring(spec: Spec, num_envs: int, capacity: int) -> Ring:
    """Returns the layout that stores `obs` and `next_obs` of every transition."""
    rows = -(-capacity // num_envs)
    fields = _fields(spec, "obs", "action", *OUTCOME, "next_obs")
    store = storage(fields, rows, num_envs)

    def add(data, vector_step, transitions):
        return store.write(data, vector_step, {name: getattr(transitions, name) for name in fields})

    def transition(data, vector_step, env):
        return Transition(**store.read(data, vector_step, env, tuple(fields)))

    def outcome(data, vector_step, env):
        return store.read(data, vector_step, env, OUTCOME)

    return Ring(rows, 0, store.init, add, transition, outcome)


def _image_ring(spec: Spec, num_envs: int, capacity: int) -> Ring:
    """Returns the layout that stores each image once.

    The successor of a step is read from the row after it, so the newest row cannot be sampled until the next step.
    Where a time limit cut the episode, the successor is in a small ring of last images. Where an episode terminated,
    it is the first image of the next episode, which the discount of 0 keeps out of the target; batch norm's statistics
    of that minibatch have it.
    """
    rows = -(-capacity // num_envs) + 1
    # Two truncations of one environment are at least a time limit apart, so `vector_step // limit` tells them apart.
    limit = spec.max_decisions
    slots = rows // limit + 2
    fields = _fields(spec, "obs", "action", *OUTCOME)
    store, last_images = storage(fields, rows, num_envs), storage(_fields(spec, "next_obs"), slots, num_envs)

    def init():
        return store.init(), last_images.init()

    def last_image(data, vector_step, env):
        return last_images.read(data[1], vector_step // limit, env, ("next_obs",))["next_obs"]

    def add(data, vector_step, transitions):
        kept = last_image(data, vector_step, jnp.arange(num_envs))
        last = _select(transitions.truncated, transitions.next_obs, kept)
        steps = store.write(data[0], vector_step, {name: getattr(transitions, name) for name in fields})
        return steps, last_images.write(data[1], vector_step // limit, {"next_obs": last})

    def transition(data, vector_step, env):
        step = store.read(data[0], vector_step, env, tuple(fields))
        following = store.read(data[0], vector_step + 1, env, ("obs",))["obs"]
        next_obs = _select(step["truncated"], last_image(data, vector_step, env), following)
        return Transition(**step, next_obs=next_obs)

    def outcome(data, vector_step, env):
        return store.read(data[0], vector_step, env, OUTCOME)

    return Ring(rows, 1, init, add, transition, outcome)


def _n_step_return(
    data: Any, ring: Ring, first: Array, env: Array, end: Array, n_step: int, discount: Any
) -> tuple[Array, Array]:
    """Returns the sum of discounted rewards [B] and the number of steps [B], up to the end of the episode or `end`."""
    ahead = jnp.arange(n_step)
    vector_steps = first[:, None] + ahead  # [B, n]
    step = ring.outcome(data, vector_steps, env[:, None])
    ended = step["truncated"] | (step["discount"] == 0)
    inside = (jnp.cumsum(ended, axis=1) == ended) & (vector_steps < end)  # no end before it
    return jnp.where(inside, discount**ahead * step["reward"], 0).sum(axis=1), inside.sum(axis=1)


def _empty(spec: Spec, size: int) -> Transition:
    """Returns transitions [size, ...] of zeros."""
    obs, number = jnp.zeros((size, *spec.obs_shape), spec.obs_dtype), jnp.zeros(size)
    return Transition(obs, jnp.zeros((size, spec.action_size)), number, number, jnp.zeros(size, bool), obs)


def _select(condition: Array, true: Array, false: Array) -> Array:
    """Returns `true` [K, *O] where `condition` [K] holds, else `false`."""
    return jnp.where(condition.reshape(-1, *(1 for _ in true.shape[1:])), true, false)


def _read(leaf: Array, start: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(leaf, start, size)


def _write(tree: Any, start: Array, new: Any) -> Any:
    return jax.tree.map(lambda leaf, one: jax.lax.dynamic_update_slice_in_dim(leaf, one, start, axis=0), tree, new)
