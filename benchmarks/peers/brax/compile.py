"""Brax's own SAC, compiled: the epoch of `sac.train`, simulation included.

`sac.train` is called as a user calls it, up to its first epoch, whose program is taken. It runs with the jax of
ddpg_jax, not with that of worker.py: both libraries are compiled by the same XLA. That jax has removed the function
`device_put_replicated`, which `sac.train` calls for its initial state, so this worker puts one of that name back.
"""

import contextlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from compiling import COMPILING, Program, report
from protocol import Line, require, serve
from sac_settings import sac_settings

STEPS = 1000  # vector steps of an epoch


class Reached(Exception):
    """`sac.train` has called its epoch."""


def make(config: dict[str, Any]) -> Program:
    """Returns the epoch of Brax's `sac.train` for a configuration."""
    require(config["algorithm"] == "sac", "Brax has SAC and no DDPG")
    require(config["env"] != "Pendulum-v1", "Pendulum-v1 is not a Brax environment")
    require(config["seeds"] == 1, "one process trains one seed")
    import jax
    import jax.numpy as jnp
    from brax import envs as brax_envs
    from brax.training.agents.sac import train

    found: list[tuple[Any, tuple[Any, ...]]] = []
    pmap = jax.pmap

    def recorded(function: Any, **options: Any) -> Any:
        def epoch(*args: Any) -> Any:
            found.append((partial(pmap, function, **options), args))
            raise Reached

        return epoch if function.__name__ == "training_epoch" else pmap(function, **options)

    jax.device_put_replicated = lambda tree, devices: jax.tree.map(lambda leaf: jnp.stack([leaf] * len(devices)), tree)
    jax.pmap = recorded
    envs = config["num_envs"]
    with contextlib.suppress(Reached):
        train.train(
            brax_envs.get_environment(config["env"], backend=config["backend"]),
            num_timesteps=STEPS * envs,
            **sac_settings(config),
        )
    ((epoch, args),) = found

    def compiled(device: Any) -> Any:
        return jax.jit(epoch(devices=[device]), donate_argnums=epoch.keywords["donate_argnums"])

    return Program(compiled, args, 1, 1, "the epoch of sac.train")


def main(line: Line) -> None:
    report(line, make, ("brax", "jax", "flax", "optax"))


if __name__ == "__main__":
    serve(main, COMPILING)
