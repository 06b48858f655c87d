"""dopamax's DDPG: environment, replay and update in one program.

What is measured: `train_step` in the scan its own `train` puts around it, jitted, without what `train` does between
its chunks: copying the whole state, replay included, to the host and calling the callbacks. Its strengths: prioritized
replay, a command line, board games. Several environments would be a different algorithm: each has its own replay and
minibatch and the gradients are averaged, so this worker runs one environment only.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import Line, require, serve


def main(line: Line) -> None:
    config = line.config
    with line.importing():
        import jax
        from dopamax.agents.anakin.ddpg import DDPG
        from dopamax.environments.utils import make_env

    require(config["algorithm"] == "ddpg", "dopamax is measured with ddpg")
    require(config["env"] == "Pendulum-v1", "this worker drives gymnax's Pendulum-v1 only")
    require(config["num_envs"] == 1, "with more environments dopamax trains one minibatch in each of them")
    require(config["updates_per_step"] == 1 and config["seeds"] == 1, "dopamax makes one update per step, one seed")

    settings = DDPG.default_config()
    own = {
        "actor_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "tau": 0.005,
        "gamma": 0.99,
        "buffer_size": config["replay_capacity"],
        "learning_starts": config["warmup_steps"],
        "random_steps": config["warmup_steps"],
        "batch_size": config["batch_size"],
        "network_config": {"hidden_units": list(config["hidden"])},
    }
    settings.update(own)
    agent = DDPG(make_env(f"gymnax:{config['env']}"), settings)
    steps = max(1, config.get("chunk", 1000))

    @jax.jit
    def run(state: Any) -> Any:
        return jax.lax.scan(lambda state, _: agent.train_step(state), state, None, length=steps)[0]

    state = agent.initial_train_state(jax.random.PRNGKey(0), jax.random.PRNGKey(1))

    def chunk() -> tuple[int, int]:
        nonlocal state
        state = jax.block_until_ready(run(state))
        return steps, steps

    for _ in range(config["warmup_steps"] // steps + 1):  # the first update is at step `warmup` + 1
        chunk()
    if config["warmup_steps"] % steps == steps - 1:
        chunk()
    line.stepped()
    chunk()
    line.ready(own | {"critics": 1, "chunk": steps, "donated": False}, ("dopamax", "jax", "flashbax", "gymnax"))
    line.measure(chunk)


if __name__ == "__main__":
    serve(main)
