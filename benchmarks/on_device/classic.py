"""How fast one agent trains on Pendulum-v1: one environment, networks of 256-256, minibatches of 256."""

from typing import Any

from ddpg_jax.runs.bench import CLASSIC
from on_device.rows import Rows
from on_device.training import measure


def run(rows: Rows, options: Any) -> None:
    """Measures each algorithm."""
    measure(rows, {name: CLASSIC._replace(algorithm=name) for name in ("ddpg", "td3", "sac")}, options)
