"""What `benchmarks/tune.py` has found: algorithm -> environment -> settings.

The searches themselves, every setting that was tried with its returns, are under benchmarks/results/tuning/.
"""

from typing import Any

TUNED: dict[str, dict[str, dict[str, Any]]] = {
    "ddpg": {
        "brax/inverted_double_pendulum": {
            "actor_lr": 0.000787,
            "critic_lr": 0.000631,
            "tau": 0.0182,
            "discount": 0.966,
            "reward_scale": 1.13,
            "noise_scale": 0.0867,
            "norm": "layer",
        },
        "MountainCarContinuous-v0": {
            "actor_lr": 0.000106,
            "critic_lr": 0.0016,
            "tau": 0.0114,
            "discount": 0.978,
            "reward_scale": 0.18,
            "noise_scale": 0.666,
            "norm": "none",
            "noise": "ou",
        },
        "brax/reacher": {
            "actor_lr": 0.000106,
            "critic_lr": 0.0012,
            "tau": 0.00688,
            "discount": 0.972,
            "reward_scale": 0.529,
            "noise_scale": 0.0948,
            "norm": "none",
        },
        "Reacher-misc": {
            "actor_lr": 0.000635,
            "critic_lr": 0.000421,
            "tau": 0.0183,
            "discount": 0.964,
            "reward_scale": 1.7,
            "noise_scale": 0.25,
            "norm": "layer",
        },
    },
    "td3": {
        "brax/inverted_double_pendulum": {
            "actor_lr": 0.00159,
            "critic_lr": 0.000182,
            "tau": 0.0496,
            "discount": 0.99,
            "reward_scale": 0.0442,
            "noise_scale": 0.0578,
            "target_noise": 0.252,
            "norm": "layer",
        },
        "MountainCarContinuous-v0": {
            "actor_lr": 0.00159,
            "critic_lr": 0.000101,
            "tau": 0.00525,
            "discount": 0.967,
            "reward_scale": 0.0559,
            "noise_scale": 0.135,
            "target_noise": 0.0909,
            "norm": "layer",
            "noise": "ou",
        },
        "brax/reacher": {
            "actor_lr": 0.00025,
            "critic_lr": 0.00185,
            "tau": 0.0161,
            "discount": 0.974,
            "reward_scale": 1.81,
            "noise_scale": 0.174,
            "target_noise": 0.377,
            "norm": "none",
        },
        "Reacher-misc": {
            "actor_lr": 0.000635,
            "critic_lr": 0.000421,
            "tau": 0.0183,
            "discount": 0.964,
            "reward_scale": 1.7,
            "noise_scale": 0.25,
            "target_noise": 0.2,
            "norm": "layer",
        },
    },
    "sac": {
        "Reacher-misc": {
            "actor_lr": 0.000787,
            "critic_lr": 0.000631,
            "tau": 0.0182,
            "discount": 0.966,
            "reward_scale": 1.13,
            "temperature_lr": 0.000196,
            "target_entropy": -1.68,
            "norm": "layer",
        }
    },
}
