"""Recipes of the literature as settings: a name, the algorithm it is for, and what it changes of the defaults."""

from typing import Any, NamedTuple

from ddpg_jax.runs.registry import algorithms
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.runs.tuned import TUNED


class Preset(NamedTuple):
    """What a preset sets; everything else stays at its default, and a flag beside it wins."""

    about: str
    algorithm: str
    config: dict[str, Any]
    loop: dict[str, Any]
    run: dict[str, Any]


BEST = "best"
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
    "parallel": Preset(
        "thousands of environments on one device, as Li et al. 2023 and Seo et al. 2025: large minibatches, noise "
        "spread over the environments, returns over three steps, a categorical critic, layer norm, fast targets",
        "d4pg",
        {
            "atoms": 101,
            "norm": "layer",
            "tau": 0.05,
            "actor_lr": 5e-4,
            "critic_lr": 5e-4,
            "noise_scale": 0.05,
            "noise_scale_max": 0.8,
        },
        {"num_envs": 1024, "batch_size": 8192, "updates_per_step": 4, "n_step": 3, "warmup_steps": 10_240},
        {},
    ),
}


def tuned(algorithm: str, env: str) -> Preset | None:
    """What a search has found for this algorithm on this task, if there was one."""
    found = TUNED.get(algorithm, {}).get(env)
    return Preset(f"found by a search on {env}", algorithm, found, {}, {"env": env}) if found else None


def presets_for(algorithm: str, env: str) -> dict[str, Preset]:
    """The presets of an algorithm by name; "best" is what a search has found for the task."""
    named = {name: preset for name, preset in PRESETS.items() if preset.algorithm == algorithm}
    best = tuned(algorithm, env)
    return named | ({BEST: best} if best else {})


def preset(name: str, algorithm: str | None = None, env: str | None = None) -> tuple[Any, LoopConfig]:
    """The settings of a preset: the algorithm's, and the loop's.

    Args:
      name: of the preset; "best" is what a search has found for an algorithm on a task.
      algorithm, env: for "best" alone, their names.

    Raises:
      SettingError: there is no such preset, or no search was made for them.
    """
    chosen = tuned(algorithm or "", env or "") if name == BEST else PRESETS.get(name)
    if chosen is None and name == BEST:
        raise SettingError(f"preset {BEST} needs a task that was searched ({searched(algorithm)}), not {env!r}.")
    if chosen is None:
        raise SettingError(f"preset must be one of {', '.join(PRESETS)} or {BEST}, not {name!r}.")
    return algorithms()[chosen.algorithm].config(**chosen.config), LoopConfig(**chosen.loop)


def searched(algorithm: str | None) -> str:
    """The tasks for which an algorithm has a preset "best", in words."""
    everything = [f"{name} on {env}" for name in TUNED for env in TUNED[name]]
    return ", ".join(TUNED.get(algorithm, {}) if algorithm else everything) or "none yet"
