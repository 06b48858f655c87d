"""The registry: a command-line name, its settings and the function that makes the agent."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ddpg_jax.algorithms.copdac import COPDACConfig, copdac_gq, copdac_q
from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.algorithms.dpg import DPGConfig, dpg_off_policy, dpg_on_policy
from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.algorithms.td3 import TD3Config, td3
from ddpg_jax.types import Agent, Spec


class Algorithm(NamedTuple):
    """`make(config, spec)` is the agent."""

    config: type
    make: Callable[[Any, Spec], Agent]


ALGORITHMS = {
    "dpg-on-policy": Algorithm(DPGConfig, dpg_on_policy),
    "dpg-off-policy": Algorithm(DPGConfig, dpg_off_policy),
    "copdac-q": Algorithm(COPDACConfig, copdac_q),
    "copdac-gq": Algorithm(COPDACConfig, copdac_gq),
    "ddpg": Algorithm(DDPGConfig, ddpg),
    "td3": Algorithm(TD3Config, td3),
    "sac": Algorithm(SACConfig, sac),
}
