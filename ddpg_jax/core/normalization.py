"""Observations brought to mean 0 and variance 1, by statistics of fresh data alone.

What is stored stays raw: the newest statistics are applied whenever a network looks, so old data never go stale.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import struct

from ddpg_jax.core.collectives import num_shards, pmean
from ddpg_jax.core.types import Agent, Array, Explorer, Learner, Spec, Transition

EPSILON, BOUND = 1e-6, 10.0


@struct.dataclass
class Statistics:
    """Mean and variance of all the observations acted on so far."""

    count: Array  # [] float32
    mean: Array  # [*O] float32
    variance: Array  # [*O] float32


def statistics(spec: Spec) -> Statistics:
    """Before anything has been seen."""
    return Statistics(jnp.zeros(()), jnp.zeros(spec.obs_shape), jnp.ones(spec.obs_shape))


def observe(seen: Statistics, obs: Array) -> Statistics:
    """The statistics with the batch obs [N, *O] added (Chan et al. 1979, "Updating formulae", eq. 2.1).

    The batches of devices that share an agent are added as one.
    """
    obs = obs.astype(jnp.float32)
    added = len(obs) * num_shards()
    count = seen.count + added
    share = added / count
    middle = pmean(obs.mean(axis=0))
    spread = pmean(jnp.square(obs - middle).mean(axis=0))
    gap = middle - seen.mean
    variance = (1 - share) * seen.variance + share * spread + share * (1 - share) * jnp.square(gap)
    return Statistics(count, seen.mean + share * gap, variance)


def normalize(seen: Statistics, obs: Array) -> Array:
    """(obs [..., *O] - mean) / standard deviation in float32, within ±10."""
    scaled = (obs.astype(jnp.float32) - seen.mean) / jnp.sqrt(seen.variance + EPSILON)
    return jnp.clip(scaled, -BOUND, BOUND)


def normalized(agent: Agent, spec: Spec) -> Agent:
    """The agent, all of whose networks see normalized observations; the statistics travel in its learner."""

    def through(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda learner, obs, *rest: call(learner, normalize(learner.normalizer, obs), *rest)

    def explore(learner, carry, obs, *rest):
        return agent.explorer.act(learner, carry, normalize(learner.normalizer, obs), *rest)

    def update(learner: Learner, batch: Transition, *rest: Any) -> Any:
        obs, next_obs = (normalize(learner.normalizer, x) for x in (batch.obs, batch.next_obs))
        return agent.update(learner, replace(batch, obs=obs, next_obs=next_obs), *rest)

    return agent._replace(
        init=lambda key: replace(agent.init(key), normalizer=statistics(spec)),
        act=through(agent.act),
        value=through(agent.value),
        explorer=Explorer(agent.explorer.init, explore),
        update=update,
        observe=lambda learner, step: replace(learner, normalizer=observe(learner.normalizer, step.obs)),
    )
