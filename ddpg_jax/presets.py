"""Recipes of the literature as settings: a name, the algorithm it is for, and what it changes of the defaults."""

from typing import Any, NamedTuple

from ddpg_jax.algorithms import algorithms
from ddpg_jax.settings import SettingError
from ddpg_jax.train import LoopConfig


class Preset(NamedTuple):
    """What a recipe sets; everything else stays at its default, and a flag beside it wins."""

    about: str
    algorithm: str
    config: dict[str, Any]
    loop: dict[str, Any]
    run: dict[str, Any]


PAPER = {
    "norm": "batch",
    "action_layer": 2,
    "actor_lr": 1e-4,
    "critic_lr": 1e-3,
    "weight_decay": 1e-2,
    "discount": 0.99,
    "tau": 1e-3,
    "noise": "ou",
    "noise_theta": 0.15,
    "noise_scale": 0.2,
}

PRESETS = {
    "lillicrap2016": Preset(
        "Lillicrap et al. 2016, section 7: batch norm, action at the second layer, OU noise",
        "ddpg",
        PAPER | {"hidden": (400, 300), "final_scale": 3e-3},
        {"batch_size": 64, "replay_capacity": 1_000_000, "warmup_steps": 64},
        {},
    ),
    "lillicrap2016-pixels": Preset(
        "the same from grey images of 64 x 64, three frames, an action repeat of 3; convolutions begin without a bias",
        "ddpg",
        PAPER | {"hidden": (200, 200), "final_scale": 3e-4},
        {"batch_size": 16, "replay_capacity": 1_000_000, "warmup_steps": 64},
        {"env": "pixels/Pendulum-v1"},
    ),
    "tutorial": Preset(
        "the form of PyTorch tutorials: minibatches of 64, a slow actor",
        "ddpg",
        {"actor_lr": 1e-4, "critic_lr": 1e-3, "tau": 5e-3, "noise_scale": 0.1},
        {"batch_size": 64},
        {},
    ),
    "lecture": Preset(
        "the form of lectures: leaky ReLU, noise before the squashing, a copied target critic, no target actor",
        "ddpg",
        {
            "activation": "leaky-relu",
            "noise": "tanh-gaussian",
            "target_update": "periodic",
            "target_period": 200,
            "target_actor": False,
        },
        {},
        {},
    ),
}


def preset(name: str) -> tuple[Any, LoopConfig]:
    """The settings of a recipe: the algorithm's, and the loop's.

    Raises:
      SettingError: there is no such recipe.
    """
    if name not in PRESETS:
        raise SettingError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}.")
    chosen = PRESETS[name]
    return algorithms()[chosen.algorithm].config(**chosen.config), LoopConfig(**chosen.loop)
