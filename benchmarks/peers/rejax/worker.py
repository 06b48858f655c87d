"""rejax's TD3, and DDPG as its TD3 with one critic and no target noise: environment, replay and update in one program.

What is measured: rejax's `train_iteration` in the loop its own `train` puts around it, under one jit and one vmap over
the seeds, without the evaluations. Its strengths: whole training runs vmapped over seeds and hyperparameters.
It dropped its own DDPG in 2024, so the one-critic update is ours (`one_critic.py`). Both algorithms run with a policy
delay of 1 unless the configuration says otherwise. rejax averages the targets once per vector step, also where that
step makes more than one update, and draws minibatches without replacement, at a cost that grows with the replay's
capacity.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import Line, require, serve

POLYAK, GAMMA, RATE, NOISE = 0.995, 0.99, 1e-3, 0.1


def main(line: Line) -> None:
    config = line.config
    with line.importing():
        import jax
        from one_critic import DDPG
        from rejax.algos.td3 import TD3

    require(config["algorithm"] in ("ddpg", "td3"), "rejax is measured with ddpg and td3")
    require(config["env"] == "Pendulum-v1", "this worker drives gymnax's Pendulum-v1 only")
    envs, seeds, warmup = config["num_envs"], config["seeds"], config["warmup_steps"]
    per_step, delay, hidden = config["updates_per_step"], config.get("policy_delay", 1), tuple(config["hidden"])
    agent = {"ddpg": DDPG, "td3": TD3}[config["algorithm"]].create(
        env=config["env"],
        num_envs=envs,
        batch_size=config["batch_size"],
        buffer_size=config["replay_capacity"],
        fill_buffer=warmup,
        num_epochs=per_step,
        num_critics=2 if config["algorithm"] == "td3" else 1,
        policy_delay=delay,
        polyak=POLYAK,
        gamma=GAMMA,
        learning_rate=RATE,
        exploration_noise=NOISE,
        actor_kwargs={"activation": "relu"},
        critic_kwargs={"activation": "relu"},
    )  # `create_agent` passes its own widths, so they cannot be set above
    agent = agent.replace(
        actor=agent.actor.clone(hidden_layer_sizes=hidden), critic=agent.critic.clone(hidden_layer_sizes=hidden)
    )

    def shared(path: Any) -> bool:
        # Counters start as Python numbers in rejax's own vmap(train), so seeds share them; that is kept between calls
        return getattr(path[-1], "name", "") in ("global_step", "index", "full")

    state = jax.jit(jax.vmap(agent.init_state))(jax.random.split(jax.random.PRNGKey(0), seeds))
    axes = jax.tree_util.tree_map_with_path(lambda path, _: None if shared(path) else 0, state)
    state = jax.tree_util.tree_map_with_path(
        lambda path, x: (x[0] if shared(path) else x).astype(x.dtype), state
    )  # `astype` removes weak types, with which everything would be compiled twice

    def train(state: Any, iterations: Any) -> Any:
        return jax.lax.fori_loop(0, iterations, lambda _, ts: agent.train_iteration(ts), state)

    run = jax.jit(jax.vmap(train, in_axes=(axes, None), out_axes=axes), donate_argnums=0)

    def chunk(iterations: int) -> tuple[int, int]:
        nonlocal state
        state = jax.block_until_ready(run(state, iterations))
        vector_steps = iterations * delay
        return vector_steps * per_step * seeds, vector_steps * envs * seeds

    chunk((warmup // envs + 1 + delay - 1) // delay + 1)  # more than `warmup` steps stored, and one iteration more
    line.stepped()
    iterations = max(1, config.get("chunk", 1000) // delay)
    chunk(iterations)
    settings = {
        "critics": agent.num_critics,
        "policy_delay": delay,
        "target_noise": config["algorithm"] == "td3",
        "learning_rate": RATE,
        "polyak": POLYAK,
        "exploration_noise": NOISE,
        "seeds": seeds,
        "chunk": iterations * delay,
        "hidden": hidden,
        "sampling": "without replacement, over the whole capacity",
    }
    line.ready(settings, ("rejax", "jax", "flax", "optax", "gymnax"))
    line.measure(lambda: chunk(iterations))


if __name__ == "__main__":
    serve(main)
