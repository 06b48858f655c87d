"""Trains and evaluates Brax's SAC on Brax's environments, by one call of `sac.train` with its own evaluator.

One process trains one seed. The evaluator draws a new key for every evaluation, plays one episode in each of its
environments and sums the reward up to its end; the final episodes are played by a second evaluator with another key.
What may matter for learning: an environment that is done is reset to its first state, so that training sees `num_envs`
initial states (and, in reacher, as many targets) while the evaluation draws new ones. The warm-up uses the untrained
policy, the learning rate of the temperature is always 3e-4, the target entropy is half of the usual, and transitions at
the time limit are left out of the critic's loss. `sac.train` counts the warm-up separately, so the equal chunks are of
what comes after it, and the last step is rounded up. With `own_defaults`, everything that a task does not set is at
the defaults of `sac.train`.
"""

import sys
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import LEARNING, Line, require, serve

TIME_LIMIT = 1000


def main(line: Line) -> None:
    config = line.config
    require(config["algorithm"] == "sac", "Brax has SAC and no DDPG or TD3")
    require(len(config["seeds"]) == 1, "one process trains one seed")
    own = config["own_defaults"]
    require(own or config["actor_lr"] == config["critic_lr"], "sac.train has one learning rate for actor and critics")
    import jax
    from brax import envs as brax_envs
    from brax.training import acting
    from brax.training.agents.sac import networks, train

    (seed,) = config["seeds"]
    envs, backend = config["num_envs"], config.get("backend", "spring")
    env = brax_envs.get_environment(config["env"], backend=backend)

    def after_epoch(steps: int, metrics: dict[str, Any]) -> None:
        if steps > 0:  # it is called once before any training
            line.evaluated(int(steps), [float(metrics["eval/episode_reward"])])

    given: dict[str, Any] = {}
    if not own:
        factory = partial(networks.make_sac_networks, hidden_layer_sizes=tuple(config["hidden"]))
        given = {
            "learning_rate": config["actor_lr"],
            "discounting": config["discount"],
            "tau": config["tau"],
            "batch_size": config["batch_size"],
            "min_replay_size": config["warmup_steps"],
            "max_replay_size": config["replay_capacity"],
            "normalize_observations": config.get("normalize_obs", False),
            "reward_scaling": 1.0,
            "network_factory": factory,
        }
    make_policy, params, _ = train.train(
        env,
        num_timesteps=config["steps"],
        num_evals=config["evaluations"] + 1,
        episode_length=TIME_LIMIT,
        action_repeat=1,
        num_envs=envs,
        num_eval_envs=config["episodes"],
        deterministic_eval=True,
        grad_updates_per_step=line.updates_per_step,
        progress_fn=after_epoch,
        seed=seed,
        **given,
    )
    arena = acting.Evaluator(
        brax_envs.training.wrap(env, episode_length=TIME_LIMIT, action_repeat=1),
        partial(make_policy, deterministic=True),
        num_eval_envs=config["final_episodes"],
        episode_length=TIME_LIMIT,
        action_repeat=1,
        key=jax.random.PRNGKey(1_000_000 + seed),
    )
    final = float(arena.run_evaluation(params, training_metrics={})["eval/episode_reward"])
    used = {name: value.default for name, value in signature(train.train).parameters.items()} | given
    settings = {
        "algorithm": "sac",
        "seeds": config["seeds"],
        "num_envs": envs,
        "backend": backend,
        "updates_per_step": line.updates_per_step,
        "critics": 2,
        "learning_rate": used["learning_rate"],
        "temperature": "learned from 1.0 at 3e-4",
        "target_entropy": -0.5 * env.action_size,
        "tau": used["tau"],
        "discount": used["discounting"],
        "hidden": config.get("hidden", [256, 256]),  # the default of `make_sac_networks`
        "batch_size": used["batch_size"],
        "warmup_steps": -(-used["min_replay_size"] // envs) * envs,
        "replay_rows": used["max_replay_size"] or config["steps"],
        "normalize_obs": used["normalize_observations"],
        "reward_scaling": used["reward_scaling"],
        "time_limit": TIME_LIMIT,
        "differs": [
            f"training resets to the same {envs} initial state(s); the evaluation draws new ones",
            "warm-up with the untrained policy, not uniform",
            "transitions at the time limit are left out of the critic's loss",
            "the first chunk also contains the warm-up",
            "weights start LeCun uniform, the last layers too",
        ],
    }
    line.learned([final], settings, ("brax", "jax", "flax", "optax", "mujoco", "mujoco-mjx"))


if __name__ == "__main__":
    serve(main, LEARNING)
