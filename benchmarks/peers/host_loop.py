"""The measured loop of the two libraries with SB3's host loop: stable-baselines3 and SBX."""

from typing import Any

from protocol import Line, require


def run(line: Line, model_class: Any, packages: tuple[str, ...]) -> None:
    """Measures DDPG through repeated calls of `learn`, on gymnasium's environments, stepped one by one."""
    config = line.config
    with line.importing():
        import numpy as np
        import torch
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.noise import NormalActionNoise
    require(config["algorithm"] == "ddpg", "this worker drives DDPG only")
    require(config["env"] == "Pendulum-v1", "this worker drives gymnasium's Pendulum-v1 only")
    require(config["seeds"] == 1, "one process trains one seed")

    envs, warmup = config["num_envs"], config["warmup_steps"]
    env = make_vec_env(config["env"], n_envs=envs)  # DummyVecEnv around Monitor, the library's default
    model = model_class(
        "MlpPolicy",
        env,
        buffer_size=config["replay_capacity"],
        learning_starts=warmup,
        batch_size=config["batch_size"],
        learning_rate=1e-3,
        tau=0.005,
        gamma=0.99,
        train_freq=1,
        gradient_steps=config["updates_per_step"],
        action_noise=NormalActionNoise(np.zeros(env.action_space.shape), 0.1 * np.ones(env.action_space.shape)),
        policy_kwargs={"net_arch": list(config["hidden"])},  # ReLU is the default of both
        seed=0,
    )

    def learn(vector_steps: int) -> tuple[int, int]:
        updates, steps = model._n_updates, model.num_timesteps
        model.learn(total_timesteps=vector_steps * envs, log_interval=None, reset_num_timesteps=False)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return model._n_updates - updates, model.num_timesteps - steps

    first = warmup // envs + 1  # vector steps until more than `warmup` environment steps are stored: one update
    done, _ = learn(first)
    require(done == config["updates_per_step"], f"{done} updates in the first call")
    line.stepped()
    chunk = max(1, config.get("chunk", 200))
    learn(chunk)
    settings = {
        "critics": 1,
        "policy_delay": 1,
        "learning_rate": 1e-3,
        "tau": 0.005,
        "exploration_noise": 0.1,
        "vector_env": "DummyVecEnv, one process",
        "torch_threads": torch.get_num_threads(),
        "device": str(model.device),
        "chunk": chunk,
        "hidden": config["hidden"],
        "replay_rows": config["replay_capacity"] // envs * envs,
    }
    line.ready(settings, packages)
    line.measure(lambda: learn(chunk))
