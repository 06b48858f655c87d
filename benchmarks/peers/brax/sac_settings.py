"""The settings of Brax's `sac.train` that do not depend on what is measured."""

from functools import partial
from typing import Any


def sac_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `sac.train` for a configuration; everything else keeps Brax's default."""
    from brax.training.agents.sac import networks

    return {
        "episode_length": 1000,
        "num_envs": config["num_envs"],
        "num_eval_envs": 1,
        "learning_rate": 1e-3,
        "discounting": 0.99,
        "tau": 0.005,
        "batch_size": config["batch_size"],
        "max_replay_size": config["replay_capacity"],
        "network_factory": partial(networks.make_sac_networks, hidden_layer_sizes=tuple(config["hidden"])),
    }
