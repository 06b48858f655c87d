"""Diverged seeds: which quantity was first not finite and when, found on the device.

A diverged seed keeps its last finite parameters, and the other seeds continue.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.collectives import pmin
from ddpg_jax.core.packing import Vectors, pack
from ddpg_jax.core.platforms import loop_if, on_cpu, on_gpu, slices_together
from ddpg_jax.core.settings import INT32
from ddpg_jax.core.types import Array, Learner, Metrics, TrainState, Transition

NEVER = INT32  # a vector step that is never reached
FRESH = ("obs", "reward", "action")  # the data of a step, in the order in which a NaN spreads


def monitored(learner: Learner) -> tuple[str, ...]:
    """Returns the names of the Q monitored quantities: data of a step, the loss of every role, the parameters."""
    roles = sorted(learner.params, key=lambda name: (name != "critic", name))
    return (*FRESH, *(f"{name}/loss" for name in roles), "parameters")


def initial_nonfinite_at(learner: Learner) -> Array:
    """Returns `nonfinite_at` [Q] at the start of a run: `NEVER` for every monitored quantity."""
    return jnp.full(len(monitored(learner)), NEVER, jnp.int32)


def check_finite(
    learner: Learner, nonfinite_at: Array, vector_step: Array, step: Transition, metrics: Metrics
) -> Array:
    """Returns `nonfinite_at` [Q] with the vector step where a quantity of this training step is the first not finite.

    Args:
      learner: for its roles.
      nonfinite_at: [Q] the vector step at which each monitored quantity was first not finite.
      vector_step: the present one.
      step: the transitions [N, ...] of this step.
      metrics: those of this step's updates, with the losses.
    """
    fresh = {"obs": step.next_obs, "reward": step.reward, "action": step.action}
    losses = {name: total for name, (total, _) in metrics.items()}
    seen = [(fresh | losses).get(name) for name in monitored(learner)]
    finite = jnp.stack([jnp.isfinite(jnp.zeros(()) if leaf is None else leaf).all() for leaf in seen])
    return jnp.where(finite, nonfinite_at, jnp.minimum(nonfinite_at, vector_step))


def keep_learner(learner: Learner) -> tuple[Vectors, Learner]:
    """Returns the numbers of the learner as vectors for `freeze_diverged`, and the learner to go on with.

    On GPUs and TPUs the vectors are made before anything else happens to the learner. XLA would otherwise make them
    after the chunk, and copy every array until then.
    """

    def at_once(learner):
        return jax.lax.optimization_barrier((pack(learner)[0], learner))

    def at_any_time(learner):
        return pack(learner)[0], learner

    return on_cpu(at_any_time, at_once, learner)


def freeze_diverged(kept: Vectors, after: TrainState, vector_step: Array) -> TrainState:
    """Returns the state after a chunk; if anything was not finite so far, with the learner from before the chunk.

    Args:
      kept: the learner before the chunk, from `keep_learner`.
      after: the state after the chunk.
      vector_step: the vector step after the chunk.
    """
    new, unpack = pack(after.learner)

    def select(diverged, kept, learner, new):
        return unpack({dtype: jnp.where(diverged, kept[dtype], new[dtype]) for dtype in new})

    def loop(diverged, kept, learner, new):
        return loop_if(diverged, lambda _: unpack(slices_together(kept, diverged)), learner)

    finite = jnp.array([True, *(jnp.isfinite(vector).all() for vector in new.values())]).all()
    nonfinite_at = after.nonfinite_at.at[-1].set(
        jnp.where(finite, after.nonfinite_at[-1], jnp.minimum(after.nonfinite_at[-1], vector_step))
    )
    nonfinite_at = pmin(nonfinite_at)
    diverged = (nonfinite_at < NEVER).any()
    learner = on_gpu(loop, select, diverged, kept, after.learner, new)
    return replace(after, learner=learner, nonfinite_at=nonfinite_at)


def diverged_seeds(learner: Learner, nonfinite_at: Any) -> dict[int, tuple[int, str]]:
    """Returns {index of a diverged seed: (vector step, the quantity that was first not finite)}.

    Args:
      learner: for its roles.
      nonfinite_at: [S, Q] the vector step at which each monitored quantity was first not finite.
    """
    names = monitored(learner)
    firsts = [min(zip(row.tolist(), names, strict=True), key=_when) for row in nonfinite_at]
    return {seed: first for seed, first in enumerate(firsts) if _when(first) < NEVER}


def _when(first: tuple[int, str]) -> int:
    return first[0]
