"""What other libraries and papers call things, and what is nearest to it here: tables, which `suggestions` reads."""

from typing import NamedTuple

# What options are called in CleanRL, Stable-Baselines3, Brax and papers, and what they are called here.
OPTIONS: dict[str, tuple[str, ...]] = {
    "alpha": ("temperature",),
    "alpha-lr": ("temperature-lr",),
    "buffer-size": ("replay-capacity",),
    "ent-coef": ("temperature",),
    "env-id": ("env",),
    "env-name": ("env",),
    "environment": ("env",),
    "eval-frequency": ("evaluations",),
    "exp-name": ("out",),
    "exploration-noise": ("noise-scale",),
    "gamma": ("discount",),
    "gradient-steps": ("updates-per-step",),
    "grad-updates-per-step": ("updates-per-step",),
    "hidden-sizes": ("hidden",),
    "learning-rate": ("actor-lr", "critic-lr"),
    "learning-starts": ("warmup-steps",),
    "logdir": ("out",),
    "lr": ("actor-lr", "critic-lr"),
    "max-grad-norm": ("clip-norm",),
    "max-replay-size": ("replay-capacity",),
    "n-atoms": ("atoms",),
    "n-critics": ("critics",),
    "n-envs": ("num-envs",),
    "n-quantiles": ("quantiles",),
    "n-seeds": ("seeds",),
    "net-arch": ("hidden",),
    "noise-clip": ("target-noise-clip",),
    "normalize-observations": ("normalize-obs",),
    "num-environments": ("num-envs",),
    "num-evals": ("evaluations",),
    "num-seeds": ("seeds",),
    "num-timesteps": ("steps",),
    "policy-frequency": ("policy-delay",),
    "policy-lr": ("actor-lr",),
    "policy-noise": ("target-noise",),
    "polyak": ("tau",),
    "q-lr": ("critic-lr",),
    "replay-size": ("replay-capacity",),
    "reward-scaling": ("reward-scale",),
    "start-steps": ("warmup-steps",),
    "target-network-frequency": ("target-period",),
    "target-update-interval": ("target-period",),
    "timesteps": ("steps",),
    "top-quantiles-to-drop-per-net": ("dropped",),
    "total-timesteps": ("steps",),
    "track": ("wandb",),
    "v-max": ("value-high",),
    "v-min": ("value-low",),
    "wandb-project-name": ("wandb",),
}
# What a mere switch elsewhere leaves to another option of the same command line, which has the value.
SWITCHES = {"track": "wandb-project-name"}

# What no option of any command answers to, and why.
NO_OPTION: dict[str, str] = {
    "autotune": "SAC always tunes its temperature here, unless --temperature-lr is 0",
    "capture-video": "`ddpg-jax render` draws the policy of a finished run",
    "cuda": "JAX takes the accelerator that it finds, and JAX_PLATFORMS=cpu keeps it on the CPU",
    "device": "JAX takes the accelerator that it finds, and JAX_PLATFORMS=cpu keeps it on the CPU",
    "num-layers": "--hidden takes the width of every layer, as in --hidden 256 256",
    "save-model": "every run saves its checkpoints, and `ddpg-jax export` writes its policy",
    "torch-deterministic": "a command is reproducible on one machine, and --seed sets its first seed",
    "train-freq": "updates follow every step of all --num-envs environments, --updates-per-step of them",
    "upload-model": "`ddpg-jax export` writes the policy of a finished run into a file",
    "wandb-entity": "--wandb takes the project, and WANDB_ENTITY in the environment is read by Weights & Biases",
}
# Options that only some algorithms have.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "atoms": ("d4pg",),
    "critics": ("tqc",),
    "dropped": ("tqc",),
    "policy-delay": ("td3",),
    "quantiles": ("tqc",),
    "target-noise": ("td3",),
    "target-noise-clip": ("td3",),
    "temperature": ("sac", "tqc"),
    "temperature-lr": ("sac", "tqc"),
    "value-high": ("d4pg",),
    "value-low": ("d4pg",),
}


class Other(NamedTuple):
    """An algorithm that is not here."""

    what: str
    nearest: str  # what is nearest to it here


_ON_POLICY = Other("an on-policy method with a stochastic policy", "sac")
_DISCRETE = Other("a method for discrete actions", "ddpg")
_DISTRIBUTIONAL = Other("a distributional method for discrete actions", "d4pg")
ALGORITHMS: dict[str, Other] = {
    "a2c": _ON_POLICY,
    "a3c": _ON_POLICY,
    "impala": _ON_POLICY,
    "ppo": _ON_POLICY,
    "reinforce": _ON_POLICY,
    "trpo": _ON_POLICY,
    "vpg": _ON_POLICY,
    "ddqn": _DISCRETE,
    "dqn": _DISCRETE,
    "c51": _DISTRIBUTIONAL,
    "iqn": _DISTRIBUTIONAL,
    "qrdqn": _DISTRIBUTIONAL,
    "rainbow": _DISTRIBUTIONAL,
    "crossq": Other("SAC with batch norm and without target networks", "sac"),
    "droq": Other("SAC with dropout and more updates per step", "sac"),
    "redq": Other("SAC with an ensemble of critics and more updates per step", "sac"),
}
