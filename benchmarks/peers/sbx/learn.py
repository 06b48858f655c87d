"""Trains and evaluates SBX: DDPG, TD3 and SAC through `learn`, on gymnasium's environments.

One process trains one seed. Between the calls of `learn`, SB3's `evaluate_policy` plays whole episodes in separate
environments, which are kept through the run so that every evaluation starts from new states. Noise and actions are in
[-1, 1]. What may matter for learning: a time limit bootstraps, the exploration noise is also added to the uniform
actions of the warm-up, TD3 averages its targets at every critic update and not with the delayed actor, and the actor
ascends the smaller of the two critics. With `own_defaults`, everything that a task does not set is at SBX's own
defaults, but for the noise of DDPG and TD3, which is that of the examples in its documentation: by default it has none.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import LEARNING, Line, require, serve

CLASSIC = ("Pendulum-v1", "MountainCarContinuous-v0")
MUJOCO = ("HalfCheetah-v5", "InvertedDoublePendulum-v5", "Reacher-v5")
REACHER = "BraxReacher-v5"


def main(line: Line) -> None:
    config = line.config
    algorithm, envs = config["algorithm"], config["num_envs"]
    require(algorithm in ("ddpg", "td3", "sac"), "SBX learns with ddpg, td3 and sac here")
    known = (*CLASSIC, *MUJOCO, REACHER)
    require(config["env"] in known, f"this worker drives {', '.join(known)}")
    require(len(config["seeds"]) == 1, "one process trains one seed")
    import numpy as np
    from sbx import DDPG, SAC, TD3
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.noise import NormalActionNoise

    if config["env"] == REACHER:
        import reacher  # noqa: F401, which registers it

    (seed,) = config["seeds"]
    env = make_vec_env(config["env"], n_envs=envs)  # DummyVecEnv around Monitor, the library's default
    num_eval_envs = min(32, config["episodes"])  # only so that one call of the policy serves many episodes
    arena = make_vec_env(config["env"], n_envs=num_eval_envs, seed=1_000_000 * (seed + 1))  # Monitor-wrapped too
    shape = env.action_space.shape
    given: dict[str, Any] = {"train_freq": 1, "gradient_steps": line.updates_per_step}
    if algorithm != "sac":
        given["action_noise"] = NormalActionNoise(np.zeros(shape), config["noise"] * np.ones(shape))
    if not config["own_defaults"]:
        given |= {
            "learning_rate": config["actor_lr"],
            "qf_learning_rate": config["critic_lr"],
            "buffer_size": config["replay_capacity"],
            "learning_starts": config["warmup_steps"],
            "batch_size": config["batch_size"],
            "tau": config["tau"],
            "gamma": config["discount"],
            "policy_kwargs": {"net_arch": list(config["hidden"])},  # ReLU is the default of all three
        }
        if algorithm == "td3":
            given |= {"policy_delay": 2, "target_policy_noise": 0.2, "target_noise_clip": 0.5}
    model = {"ddpg": DDPG, "td3": TD3, "sac": SAC}[algorithm]("MlpPolicy", env, seed=seed, **given)

    def evaluated(episodes: int) -> list[float]:
        return [float(evaluate_policy(model, arena, n_eval_episodes=episodes, deterministic=True)[0])]

    chunk = -(-config["steps"] // (config["evaluations"] * envs)) * envs
    for _ in range(config["evaluations"]):
        model.learn(total_timesteps=chunk, log_interval=None, reset_num_timesteps=False)
        line.evaluated(model.num_timesteps, evaluated(config["episodes"]))

    differs = ["weights start LeCun normal, the last layers too"]
    if algorithm != "sac":
        differs.append("exploration noise is added to the uniform actions of the warm-up as well")
    if algorithm == "td3":
        differs.append(
            "targets averaged at every critic update; the actor ascends the smaller critic, at every second one"
        )
    settings = {
        "algorithm": algorithm,
        "seeds": config["seeds"],
        "num_envs": envs,
        "updates_per_step": line.updates_per_step,
        "updates": model._n_updates,
        "critics": model.policy.n_critics,
        "actor_lr": float(model.lr_schedule(1.0)),
        "critic_lr": float(model.qf_learning_rate),
        "tau": model.tau,
        "discount": model.gamma,
        "hidden": list(model.policy.net_arch_qf),
        "batch_size": model.batch_size,
        "warmup_steps": model.learning_starts,
        "replay_rows": model.buffer_size // envs * envs,
        "time_limit": env.envs[0].spec.max_episode_steps,
        "differs": differs,
    }
    if algorithm == "sac":
        target = float(model.target_entropy)
        settings |= {"temperature": "learned from 1.0 at the actor's rate", "target_entropy": target}
    else:
        settings["exploration_noise"] = config["noise"]
    if algorithm == "td3":
        settings |= {
            "policy_delay": model.policy_delay,
            "target_noise": model.target_policy_noise,
            "target_noise_clip": model.target_noise_clip,
        }
    final = evaluated(config["final_episodes"])
    packages = ("sbx-rl", "jax", "flax", "optax", "stable-baselines3", "torch", "gymnasium", "numpy")
    line.learned(final, settings, packages + (() if config["env"] in CLASSIC else ("mujoco",)))


if __name__ == "__main__":
    serve(main, LEARNING)
