"""Presets: settings from the literature, each with a name, its algorithm and what it changes of the defaults."""

import functools
import importlib.resources
import json
from typing import Any, NamedTuple

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.registry import algorithms


class Preset(NamedTuple):
    """What a preset sets; everything else stays at its default, and a flag on the command line wins."""

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
        "the same from images of 64 x 64, three frames, an action repeat of 3; other than in the paper, images are "
        "gray and convolution biases start at 0",
        "ddpg",
        PAPER | {"hidden": (200, 200), "final_scale": 3e-4},
        {"batch_size": 16, "replay_capacity": 1_000_000, "warmup_steps": 64},
        {"env": "pixels/Pendulum-v1"},
    ),
    "fujimoto2018": Preset(
        "Fujimoto et al. 2018, section 6 and supplement C: networks of 400-300, minibatches of 100, one learning rate; "
        "random steps as for most tasks, of which the paper has 10,000 for HalfCheetah and Ant",
        "td3",
        {
            "hidden": (400, 300),
            "actor_lr": 1e-3,
            "critic_lr": 1e-3,
            "norm": "none",
            "discount": 0.99,
            "tau": 5e-3,
            "policy_delay": 2,
            "noise": "gaussian",
            "noise_scale": 0.1,
            "target_noise": 0.2,
            "target_noise_clip": 0.5,
        },
        {"batch_size": 100, "replay_capacity": 1_000_000, "warmup_steps": 1_000},
        {},
    ),
    "haarnoja2018": Preset(
        'Haarnoja et al. 2018, "applications", table 1: one learning rate, a target entropy of minus the number of '
        "action dimensions",
        "sac",
        {
            "hidden": (256, 256),
            "actor_lr": 3e-4,
            "critic_lr": 3e-4,
            "temperature_lr": 3e-4,
            "norm": "none",
            "discount": 0.99,
            "tau": 5e-3,
            "target_entropy": -1.0,
            "noise": "gaussian",
        },
        {"batch_size": 256, "replay_capacity": 1_000_000},
        {},
    ),
    "tutorial": Preset(
        "DDPG as in common PyTorch tutorials: minibatches of 64, a smaller learning rate for the actor",
        "ddpg",
        {"norm": "none", "actor_lr": 1e-4, "critic_lr": 1e-3, "tau": 5e-3, "noise_scale": 0.1},
        {"batch_size": 64},
        {},
    ),
    "lecture": Preset(
        "DDPG as taught in lectures: leaky ReLU, noise before the tanh, a target critic that is copied periodically, "
        "no target actor",
        "ddpg",
        {
            "norm": "none",
            "actor_lr": 1e-3,
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
        "1,024 environments on one device, after Li et al. 2023 and Seo et al. 2025: large minibatches, a noise scale "
        "that varies over environments, 3-step returns, categorical critic, layer norm, large tau",
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


@functools.cache
def tuned_settings() -> dict[str, dict[str, dict[str, Any]]]:
    """Returns what `benchmarks/tune.py` has found: algorithm -> environment -> settings.

    The searches, with every trial and its returns, are under benchmarks/results/tuning/.
    """
    return json.loads(importlib.resources.files("ddpg_jax.runs").joinpath("tuned.json").read_text(encoding="utf-8"))


def tuned(algorithm: str, env: str) -> Preset | None:
    """Returns what a search has found for this algorithm on this task, if there was one."""
    found = tuned_settings().get(algorithm, {}).get(env)
    return Preset(f"found by a search on {env}", algorithm, found, {}, {"env": env}) if found else None


def presets_for(algorithm: str, env: str) -> dict[str, Preset]:
    """Returns the presets of an algorithm by name; "best" is what a search has found for the task."""
    named = {name: preset for name, preset in PRESETS.items() if preset.algorithm == algorithm}
    best = tuned(algorithm, env)
    return named | ({BEST: best} if best else {})


def preset(name: str, algorithm: str | None = None, env: str | None = None) -> tuple[Any, LoopConfig, RunConfig]:
    """Returns the settings of a preset: the algorithm's, the loop's and the run's.

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
    config = algorithms()[chosen.algorithm].config(**_tuples(chosen.config))
    return config, LoopConfig(**chosen.loop), RunConfig(**chosen.run)


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def searched(algorithm: str | None) -> str:
    """Returns, in words, the tasks for which an algorithm has a preset "best"."""
    tasks = tuned_settings()
    everything = [f"{name} on {env}" for name in tasks for env in tasks[name]]
    return ", ".join(tasks.get(algorithm, {}) if algorithm else everything) or "none yet"
