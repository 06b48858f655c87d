"""The settings of a run: what to train on, for how long, and where the results go."""

from pathlib import Path
from typing import Any, Literal

from ddpg_jax.core.environment import MAX_ACTION_REPEAT, MAX_EPISODE_LENGTH
from ddpg_jax.core.settings import configclass, setting

Backend = Literal["mjx", "spring", "positional", "generalized"]  # of the physics of Brax


@configclass
class RunConfig:
    """Settings of a run: what to train on, for how long, and where the results go."""

    env: Any = setting(
        default="Pendulum-v1",
        help="environment id (`ddpg-jax envs` lists them), or one of your own, as my_env.py:Tank",
    )
    steps: int = setting(
        default=100_000, help="environment steps per seed, warm-up included; a repeated action counts as one", low=1
    )
    seeds: int = setting(default=1, help="number of independent agents, trained together", low=1)
    seed: int = setting(default=0, help="the first seed; the others are seed + 1, seed + 2, ...", low=0)
    out: Path | None = setting(
        default=None,
        help="run folder to create; by default runs/ALGORITHM-ENV, of a sweep runs/sweep-ALGORITHM-ENV",
    )
    overwrite: bool = setting(default=False, help="replace the run in the folder `out`")
    seed_mapping: Literal["auto", "vmap", "sequential"] = setting(
        default="auto", help="how the seeds of one device are trained: under vmap or sequentially; auto: the faster way"
    )
    devices: int | None = setting(
        default=None,
        help="number of devices, over which the seeds are sharded; if it does not divide the number of seeds, each "
        "agent is trained data parallel over several devices; by default the largest available number that divides "
        "the number of seeds",
        low=1,
    )
    cuda_graph: bool = setting(
        default=True,
        help="on NVIDIA GPUs, run each program as one CUDA graph, so that the host decides nothing within it",
    )
    checkpoint_seconds: float | None = setting(
        default=300.0,
        help="minimum seconds between checkpoints, which are saved after an evaluation; None: not by time",
        low=0,
    )
    checkpoint_steps: int | None = setting(
        default=None, help="environment steps per seed between checkpoints; None: by time alone", low=1
    )
    checkpoint_replay: bool = setting(
        default=True, help="save the replay in checkpoints; without it, a resumed run first fills a new one"
    )
    keep_checkpoints: int = setting(
        default=2, help="number of newest checkpoints to keep, in addition to the best one", low=1
    )
    halt_on_nan: bool = setting(
        default=False, help="end the run when a seed diverges; by default that seed is frozen and the others train on"
    )
    tensorboard: bool = setting(default=True, help="also write TensorBoard event files")
    wandb: str | None = setting(default=None, help="Weights & Biases project to log to, one W&B run per seed")
    evaluations: int = setting(
        default=20,
        help="number of evaluations, evenly spaced over training (a chunk is the training between two); one more "
        "precedes training",
        low=1,
        high=1_000_000,
    )
    eval_episodes: int = setting(default=32, help="whole episodes per evaluation and seed", low=1)
    episode_length: int | None = setting(
        default=None,
        help="time limit in the environment's own steps; by default that of the environment",
        low=1,
        high=MAX_EPISODE_LENGTH,
    )
    action_repeat: int | None = setting(
        default=None,
        help="steps of the environment per action; by default that of the environment",
        low=1,
        high=MAX_ACTION_REPEAT,
    )
    backend: Backend | None = setting(default=None, help="Brax's physics backend; by default that of the environment")
    impl: Literal["jax", "warp"] | None = setting(
        default=None, help="MJX implementation for MuJoCo Playground; by default jax"
    )

    @property
    def folder(self) -> Path:
        """The run folder, once `out` is set."""
        assert self.out is not None
        return Path(self.out)

    def seed_numbers(self) -> list[int]:
        """The numbers of the seeds, in the order of every array over seeds."""
        return list(range(self.seed, self.seed + self.seeds))


def env_options(run: RunConfig) -> dict[str, Any]:
    """Returns the settings of a run that are options of its environment."""
    return {name: getattr(run, name) for name in ("episode_length", "action_repeat", "backend", "impl")}
