"""Seeds that diverge: what went wrong first and when, found on the device; a dead seed keeps its last finite policy."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.collectives import least
from ddpg_jax.core.settings import INT32
from ddpg_jax.core.types import Array, Learner, Metrics, TrainState, Transition

NEVER = INT32  # a clock that is not reached
FRESH = ("obs", "reward", "action")  # what every step brings, in the order in which one spoils the next


def watched(learner: Learner) -> tuple[str, ...]:
    """The Q quantities that are looked at: fresh data, the loss of every role (critics first), all parameters."""
    roles = sorted(learner.params, key=lambda name: (name != "critic", name))
    return (*FRESH, *(f"{name}/loss" for name in roles), "parameters")


def unspoilt(learner: Learner) -> Array:
    """[Q] the clock at which each quantity was first not finite: never."""
    return jnp.full(len(watched(learner)), NEVER, jnp.int32)


def look(learner: Learner, bad: Array, clock: Array, step: Transition, metrics: Metrics) -> Array:
    """[Q] the clocks of `bad`, with a training step taken into account."""
    fresh = {"obs": step.next_obs, "reward": step.reward, "action": step.action}
    losses = {name: total for name, (total, _) in metrics.items()}
    seen = [(fresh | losses).get(name) for name in watched(learner)]
    finite = jnp.stack([jnp.isfinite(jnp.zeros(()) if leaf is None else leaf).all() for leaf in seen])
    return jnp.where(finite, bad, jnp.minimum(bad, clock))


def freeze(before: TrainState, after: TrainState, clock: Array) -> TrainState:
    """The state after a chunk; where anything was not finite, now or earlier, with the learner from before it.

    Args:
      before, after: the state at both ends of the chunk.
      clock: at its end.
    """
    old, new = _packed(before.learner), _packed(after.learner)
    finite = jnp.array([True, *(jnp.isfinite(vector).all() for vector in new.values())]).all()
    bad = after.bad.at[-1].set(jnp.where(finite, after.bad[-1], jnp.minimum(after.bad[-1], clock)))
    bad = least(bad)
    dead = (bad < NEVER).any()
    learner = _unpacked({dtype: jnp.where(dead, old[dtype], new[dtype]) for dtype in new}, after.learner)
    return replace(after, learner=learner, bad=bad)


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


def deaths(learner: Learner, bad: Any) -> dict[int, tuple[int, str]]:
    """Of the seeds that have diverged, by place: the clock at which it began, and the first quantity that went bad.

    Args:
      learner: of any seeds, for its roles.
      bad: [S, Q].
    """
    names = watched(learner)
    firsts = {place: min(zip(row.tolist(), range(len(names)), strict=True)) for place, row in enumerate(bad)}
    return {place: (clock, names[at]) for place, (clock, at) in firsts.items() if clock < NEVER}
