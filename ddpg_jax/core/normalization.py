"""Observations normalized to mean 0 and variance 1 by running statistics of fresh data.

The replay stores raw observations. They are normalized by the newest statistics whenever a network sees them, so that
old data are never normalized by outdated statistics.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import struct

from ddpg_jax.core.collectives import num_shards, pmean
from ddpg_jax.core.environment import tree_where
from ddpg_jax.core.types import Agent, Array, Key, Learner, Metrics, Spec, Transition

EPSILON, BOUND = 1e-6, 10.0


@struct.dataclass
class Statistics:
    """Mean and variance of all the observations acted on so far."""

    count: Array  # [] float32
    mean: Array  # [*O] float32
    variance: Array  # [*O] float32


def init_statistics(spec: Spec) -> Statistics:
    """Returns the statistics of no data: mean 0 and variance 1."""
    return Statistics(jnp.zeros(()), jnp.zeros(spec.obs_shape), jnp.ones(spec.obs_shape))


def update_statistics(statistics: Statistics, obs: Array) -> Statistics:
    """Returns the statistics with the batch obs [N, *O] added (Chan et al. 1979, "Updating formulae", eq. 2.1).

    The batches of all devices that share an agent are added as one.
    """
    obs = obs.astype(jnp.float32)
    added = len(obs) * num_shards()
    count = statistics.count + added
    fraction = added / count
    batch_mean = pmean(obs.mean(axis=0))
    batch_variance = pmean(jnp.square(obs - batch_mean).mean(axis=0))
    shift = batch_mean - statistics.mean
    between = fraction * (1 - fraction) * jnp.square(shift)
    variance = (1 - fraction) * statistics.variance + fraction * batch_variance + between
    new = Statistics(count, statistics.mean + fraction * shift, variance)
    return tree_where(jnp.isfinite(batch_variance).all(), new, statistics)  # a diverged seed keeps finite ones


def normalize(statistics: Statistics, obs: Array) -> Array:
    """Returns (obs [..., *O] - mean) / standard deviation in float32, clipped to ±10."""
    scaled = (obs.astype(jnp.float32) - statistics.mean) / jnp.sqrt(statistics.variance + EPSILON)
    return jnp.clip(scaled, -BOUND, BOUND)


def normalized(agent: Agent, spec: Spec) -> Agent:
    """Returns the agent with all of its networks behind `normalize`; the statistics are part of its learner."""

    def init(key: Key) -> Learner:
        return replace(agent.init(key), normalizer=init_statistics(spec))

    def explore(learner: Learner, carry: Any, obs: Array, *rest: Any) -> tuple[Array, Any]:
        return agent.explorer.act(learner, carry, normalize(learner.normalizer, obs), *rest)

    def update(learner: Learner, batch: Transition, *rest: Any) -> tuple[Learner, Metrics]:
        obs, next_obs = (normalize(learner.normalizer, x) for x in (batch.obs, batch.next_obs))
        return agent.update(learner, replace(batch, obs=obs, next_obs=next_obs), *rest)

    def observe(learner: Learner, transitions: Transition) -> Learner:
        return replace(learner, normalizer=update_statistics(learner.normalizer, transitions.obs))

    return agent._replace(
        init=init,
        act=_of_raw_obs(agent.act),
        value=_of_raw_obs(agent.value),
        explorer=agent.explorer._replace(act=explore),
        update=update,
        observe=observe,
    )


def _of_raw_obs(function: Callable[..., Array]) -> Callable[..., Array]:
    """Returns function(learner, obs, ...) as a function of observations that are not normalized."""

    def call(learner, obs, *rest):
        return function(learner, normalize(learner.normalizer, obs), *rest)

    return call
