"""Diverged seeds: which quantity was first not finite and when, found on the device.

A diverged seed keeps its last finite parameters, and the other seeds go on training.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.collectives import pmin
from ddpg_jax.core.settings import INT32
from ddpg_jax.core.types import Array, Learner, Metrics, TrainState, Transition

NEVER = INT32  # a vector step that is never reached
FRESH = ("obs", "reward", "action")  # what every step brings, in the order in which one spoils the next


def monitored(learner: Learner) -> tuple[str, ...]:
    """The Q quantities that are looked at: fresh data, the loss of every role (critics first), all parameters."""
    roles = sorted(learner.params, key=lambda name: (name != "critic", name))
    return (*FRESH, *(f"{name}/loss" for name in roles), "parameters")


def initial_nonfinite_at(learner: Learner) -> Array:
    """Returns [Q] the vector step at which each quantity was first not finite: never so far."""
    return jnp.full(len(monitored(learner)), NEVER, jnp.int32)


def check_finite(
    learner: Learner, nonfinite_at: Array, vector_step: Array, step: Transition, metrics: Metrics
) -> Array:
    """Returns `nonfinite_at` [Q] updated with the quantities of one training step."""
    fresh = {"obs": step.next_obs, "reward": step.reward, "action": step.action}
    losses = {name: total for name, (total, _) in metrics.items()}
    seen = [(fresh | losses).get(name) for name in monitored(learner)]
    finite = jnp.stack([jnp.isfinite(jnp.zeros(()) if leaf is None else leaf).all() for leaf in seen])
    return jnp.where(finite, nonfinite_at, jnp.minimum(nonfinite_at, vector_step))


def freeze_diverged(before: TrainState, after: TrainState, vector_step: Array) -> TrainState:
    """The state after a chunk; where anything was not finite, now or earlier, with the learner from before it.

    Args:
      before, after: the state at both ends of the chunk.
      vector_step: at its end.
    """
    old, new = _packed(before.learner), _packed(after.learner)
    finite = jnp.array([True, *(jnp.isfinite(vector).all() for vector in new.values())]).all()
    nonfinite_at = after.nonfinite_at.at[-1].set(
        jnp.where(finite, after.nonfinite_at[-1], jnp.minimum(after.nonfinite_at[-1], vector_step))
    )
    nonfinite_at = pmin(nonfinite_at)
    diverged = (nonfinite_at < NEVER).any()
    learner = _unpacked({dtype: jnp.where(diverged, old[dtype], new[dtype]) for dtype in new}, after.learner)
    return replace(after, learner=learner, nonfinite_at=nonfinite_at)


def _packed(learner: Learner) -> dict[Any, Array]:
    """All arrays of each dtype as one vector: one kernel each for what would take as many as a learner has arrays."""
    dtypes: dict[Any, list[Array]] = {}
    for leaf in jax.tree.leaves(learner):
        dtypes.setdefault(leaf.dtype, []).append(leaf.ravel())
    return {dtype: jnp.concatenate(leaves) for dtype, leaves in dtypes.items()}


def _unpacked(packed: dict[Any, Array], like: Learner) -> Learner:
    """The arrays again, in the shapes of `like`."""
    taken = dict.fromkeys(packed, 0)

    def take(leaf):
        start = taken[leaf.dtype]
        taken[leaf.dtype] += leaf.size
        return packed[leaf.dtype][start : start + leaf.size].reshape(leaf.shape)

    return jax.tree.map(take, like)


def diverged_seeds(learner: Learner, nonfinite_at: Any) -> dict[int, tuple[int, str]]:
    """Returns, for each diverged seed by its index, the vector step and the first quantity that was not finite.

    Args:
      learner: of any seeds, for its roles.
      nonfinite_at: [S, Q].
    """
    names = monitored(learner)
    firsts = {place: min(zip(row.tolist(), range(len(names)), strict=True)) for place, row in enumerate(nonfinite_at)}
    return {place: (vector_step, names[at]) for place, (vector_step, at) in firsts.items() if vector_step < NEVER}
