"""Brax's SAC on Brax's own environments: simulation, replay and update in one pmapped epoch.

What is measured: the epochs of `sac.train`, one per chunk, called as a user calls it. The function calls `progress_fn`
once per epoch, where this worker waits for requests and reads the clock. The evaluator is replaced by one that does
nothing, because `train` has no option to leave it out. Its strengths: thousands of simulated bodies on an accelerator,
several devices. SAC is more work per update than DDPG (two critics, a sampled policy, the temperature). Once the replay
is full, each insertion shifts all of it.
"""

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import Line, require, serve
from sac_settings import sac_settings


class NoEvaluator:
    """An evaluator for `sac.train` that does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def run_evaluation(self, _: Any, training_metrics: dict[str, Any], **__: Any) -> dict[str, Any]:
        return training_metrics


def main(line: Line) -> None:
    config = line.config
    require(config["algorithm"] == "sac", "Brax has SAC and no DDPG")
    require(config["env"] != "Pendulum-v1", "Pendulum-v1 is not a Brax environment")
    require(config["seeds"] == 1, "one process trains one seed")
    with line.importing():
        from brax import envs as brax_envs
        from brax.training import acting
        from brax.training.agents.sac import train

    acting.Evaluator = NoEvaluator
    env = brax_envs.get_environment(config["env"], backend=config.get("backend", "spring"))
    envs, warmup, chunk = config["num_envs"], config["warmup_steps"], max(1, config.get("chunk", 100))
    epochs = (
        100_000  # more than are requested; the steps after warm-up are divided by this number to give an epoch's length
    )
    prefill = -(-warmup // envs) * envs
    requests = line.requests()
    wanted, done, began, calls = 0.0, 0, 0.0, 0
    settings = {
        "critics": 2,
        "learning_rate": 1e-3,
        "tau": 0.005,
        "backend": config.get("backend", "spring"),
        "chunk": chunk,
        "hidden": config["hidden"],
        "episode_length": 1000,
        "observation_size": env.observation_size,
        "action_size": env.action_size,
    }

    class HungUp(Exception):
        """The driver sends no more requests."""

    def after_epoch(_: int, __: Any) -> None:
        nonlocal wanted, done, began, calls
        calls += 1
        if calls == 1:  # before any training
            return None
        if calls == 2:
            line.stepped()
            line.ready(settings, ("brax", "jax", "flax", "optax", "mujoco", "mujoco-mjx"))
        else:
            done, elapsed = done + 1, time.perf_counter() - began
            if elapsed < wanted:
                return None
            steps = done * chunk
            line.send(updates=steps * config["updates_per_step"], env_steps=steps * envs, seconds=elapsed)
        wanted = next(requests, -1.0)
        if wanted < 0:
            raise HungUp
        done, began = 0, time.perf_counter()
        return None

    try:
        train.train(
            env,
            num_timesteps=prefill + epochs * chunk * envs,
            num_evals=epochs + 1,
            min_replay_size=warmup,
            grad_updates_per_step=config["updates_per_step"],
            **sac_settings(config),
            progress_fn=after_epoch,
        )
    except HungUp:
        return


if __name__ == "__main__":
    serve(main)
