"""The registry: a command-line name, its settings and the function that makes the agent."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.algorithms.td3 import TD3Config, td3
from ddpg_jax.types import Agent, Spec


class Algorithm(NamedTuple):
    """`make(config, spec)` is the agent."""

    config: type
    make: Callable[[Any, Spec], Agent]


ALGORITHMS = {
    "ddpg": Algorithm(DDPGConfig, ddpg),
    "td3": Algorithm(TD3Config, td3),
    "sac": Algorithm(SACConfig, sac),
}
