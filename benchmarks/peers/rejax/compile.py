"""rejax's own `train`, compiled: DDPG as its TD3 with one critic and no target noise, TD3 and SAC, on Pendulum-v1.

It is called as its README does, `jax.jit(agent.train)(key)`, under `jax.vmap` for several seeds, with one evaluation
period whose evaluation does nothing, so that the program is its initial state and its training loop. What it returns,
the replay among it, is beside the arguments. TD3 updates its policy once in two steps of the environments, which are
one iteration of its loop.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from compiling import COMPILING, Program, report
from protocol import Line, require, serve

STEPS = 1000  # vector steps of the program


def make(config: dict[str, Any]) -> Program:
    """Returns rejax's `train` for a configuration."""
    algorithm, seeds, envs = config["algorithm"], config["seeds"], config["num_envs"]
    require(algorithm in ("ddpg", "td3", "sac"), "rejax is compiled with ddpg, td3 and sac")
    require(config["env"] == "Pendulum-v1", "this worker compiles gymnax's Pendulum-v1 only")
    import jax
    from one_critic import DDPG
    from rejax.algos.sac import SAC
    from rejax.algos.td3 import TD3

    delay, hidden = 2 if algorithm == "td3" else 1, tuple(config["hidden"])
    shared = {
        "env": config["env"],
        "num_envs": envs,
        "batch_size": config["batch_size"],
        "buffer_size": config["replay_capacity"],
        "fill_buffer": config["warmup_steps"],
        "num_epochs": 1,
        "total_timesteps": STEPS * envs,
        "eval_freq": STEPS * envs,
        "skip_initial_evaluation": True,
    }
    if algorithm == "sac":
        agent = SAC.create(**shared, hidden_layer_sizes=hidden)
    else:
        kinds = {"actor_kwargs": {"activation": "relu"}, "critic_kwargs": {"activation": "relu"}}
        agent = {"ddpg": DDPG, "td3": TD3}[algorithm].create(**shared, **kinds, num_critics=delay, policy_delay=delay)
        widths = {name: getattr(agent, name).clone(hidden_layer_sizes=hidden) for name in ("actor", "critic")}
        agent = agent.replace(**widths)  # `create_agent` passes its own, so they cannot be set above
    agent = agent.replace(eval_callback=lambda agent, state, key: ())
    train = agent.train if seeds == 1 else jax.vmap(agent.train)
    key = jax.random.split(jax.random.PRNGKey(0), seeds) if seeds > 1 else jax.random.PRNGKey(0)
    return Program(lambda device: jax.jit(train), (key,), delay, delay, "train, its initial state included")


def main(line: Line) -> None:
    report(line, make, ("rejax", "jax", "flax", "optax", "gymnax"))


if __name__ == "__main__":
    serve(main, COMPILING)
