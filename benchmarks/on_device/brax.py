"""How fast SAC trains on Brax's ant with 1,024 environments, where Brax is installed."""

import importlib.util
from typing import Any

from ddpg_jax.runs.bench import MASSIVE
from on_device.rows import Rows
from on_device.training import measure

ANT = MASSIVE._replace(algorithm="sac", env="brax/ant", backend="spring", warmup_steps=2048)


def run(rows: Rows, options: Any) -> None:
    """Measures ant; in toy size Brax's own toy, which compiles faster."""
    if importlib.util.find_spec("brax") is None:
        return rows.put("ant", skipped="brax is not installed")
    work = ANT._replace(env="brax/fast", backend=None) if options.toy else ANT
    measure(rows, {"SAC, 1,024 environments": work}, options)
