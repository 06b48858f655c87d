"""EvoRL's own `_multi_steps`, the program that its `learn` calls again and again: DDPG, TD3 and SAC.

The workflow is built from a configuration as its command line does. TD3 updates its actor once in two updates of the
critic, and an iteration is two steps of the environments.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from compiling import COMPILING, Program, report
from protocol import Line, require, serve

STEPS = 1000  # iterations of the program


def settings(config: dict[str, Any], steps: int) -> dict[str, Any]:
    """Returns the configuration of a workflow whose iteration is so many steps of the environments."""
    hidden = list(config["hidden"])
    networks = {"critic_hidden_layer_sizes": hidden, "actor_hidden_layer_sizes": hidden, "num_critics": 2}
    learning = {"learning_start_timesteps": config["warmup_steps"], "random_timesteps": config["warmup_steps"]}
    return learning | {
        "env": {"env_type": "gymnax", "env_name": config["env"], "max_episode_steps": 200},
        "agent_network": networks | {"norm_layer_type": "none", "policy_obs_key": "", "value_obs_key": ""},
        "optimizer": {"lr": 1e-3, "grad_clip_norm": 0},
        "num_envs": config["num_envs"],
        "num_eval_envs": 1,
        "rollout_length": steps,
        "num_updates_per_iter": 1,
        "fold_iters": STEPS,
        "actor_update_interval": steps,
        "replay_buffer_capacity": config["replay_capacity"],
        "batch_size": config["batch_size"],
        "discount": 0.99,
        "tau": 0.005,
        "exploration_epsilon": 0.1,
        "normalize_obs": False,
        "policy_noise": 0.2,
        "clip_policy_noise": 0.5,
        "critics_in_actor_loss": "first",
        "alpha": 1.0,
        "adaptive_alpha": True,
        "target_entropy_ratio": 1.0,
        "checkpoint": {"enable": False},
        "save_replay_buffer": False,
        "seed": 0,
        "eval_episodes": 1,
        "eval_interval": 1,
        "total_timesteps": STEPS,
    }


def make(config: dict[str, Any]) -> Program:
    """Returns EvoRL's `_multi_steps` for a configuration."""
    require(config["algorithm"] in ("ddpg", "td3", "sac"), "EvoRL is compiled with ddpg, td3 and sac")
    require(config["env"] == "Pendulum-v1", "this worker compiles gymnax's Pendulum-v1 only")
    require(config["seeds"] == 1, "EvoRL trains one seed")
    import jax
    from evorl.algorithms.ddpg import DDPGWorkflow
    from evorl.algorithms.sac import SACWorkflow
    from evorl.algorithms.td3 import TD3Workflow
    from omegaconf import OmegaConf

    kind = {"ddpg": DDPGWorkflow, "td3": TD3Workflow, "sac": SACWorkflow}[config["algorithm"]]
    steps = 2 if config["algorithm"] == "td3" else 1
    workflow = kind.build_from_config(OmegaConf.create(settings(config, steps)))
    state = workflow.setup(jax.random.PRNGKey(0))
    return Program(lambda device: kind._multi_steps, (workflow, state), steps, steps, "_multi_steps")


def main(line: Line) -> None:
    report(line, make, ("evorl-jax", "jax", "flax", "optax", "gymnax"))


if __name__ == "__main__":
    serve(main, COMPILING)
