"""Trains and evaluates rejax: its TD3 and SAC, and DDPG as its TD3 with one critic and no target noise.

All seeds run under one vmap, with rejax's own `train_iteration` and `evaluate`; they share the counters of the replay,
as in its vmapped `train`. Its noise is in the units of the action, so it is scaled here by half the range of the
actions. What may matter for learning: a time limit is treated as termination (the target is the reward alone), the
targets are averaged once per train iteration, and SAC warms up with its untrained policy. SAC's `make_act` samples its
action, so the evaluation uses the mean instead. Replay rows that a run cannot fill are left out, because rejax samples
over the whole capacity; that only changes the time. With `own_defaults`, everything that a task does not set is at
rejax's own defaults.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import LEARNING, Line, require, serve

TASKS = ("Pendulum-v1", "MountainCarContinuous-v0", "Reacher-misc", "Swimmer-misc")
TARGET_NOISE, TARGET_CLIP = 0.2, 0.5  # the TD3 paper's, for actions in [-1, 1]
CAPACITY = 131_072  # of the replay, its default


def main(line: Line) -> None:
    config = line.config
    algorithm, seeds, envs = config["algorithm"], config["seeds"], config["num_envs"]
    require(algorithm in ("ddpg", "td3", "sac"), "rejax learns with ddpg, td3 and sac here")
    require(config["env"] in TASKS, f"this worker drives gymnax's {', '.join(TASKS)}")
    own = config["own_defaults"]
    require(own or config["actor_lr"] == config["critic_lr"], "rejax has one learning rate for all its networks")
    import jax
    import jax.numpy as jnp
    import numpy as np
    from one_critic import DDPG
    from rejax.algos.sac import SAC
    from rejax.algos.td3 import TD3
    from rejax.compat import create
    from rejax.evaluate import evaluate

    env, env_params = create(config["env"])
    space = env.action_space(env_params)
    half_ranges = np.unique((np.asarray(space.high) - np.asarray(space.low)) / 2)
    require(own or half_ranges.size == 1, "rejax takes one scale of the noise for all components of the action")
    half_range = float(half_ranges[0])
    delay = 2 if algorithm == "td3" else 1
    iterations = -(-config["steps"] // (config["evaluations"] * envs * delay))
    chunk_steps = iterations * delay * envs
    rows = min(config.get("replay_capacity", CAPACITY), chunk_steps * config["evaluations"])
    given = {"env": env, "env_params": env_params, "num_envs": envs, "num_epochs": line.updates_per_step}
    given["buffer_size"] = rows
    hidden = tuple(config.get("hidden", (64, 64)))
    if not own:
        given |= {
            "batch_size": config["batch_size"],
            "fill_buffer": config["warmup_steps"],
            "polyak": 1.0 - config["tau"],
            "gamma": config["discount"],
            "learning_rate": config["actor_lr"],
        }
    if own:
        require(algorithm != "ddpg", "rejax has no DDPG and so no defaults of it")
        agent = {"td3": TD3, "sac": SAC}[algorithm].create(**given)
    elif algorithm == "sac":
        agent = SAC.create(**given, agent_kwargs={"activation": "relu"}, hidden_layer_sizes=hidden)
    else:
        agent = {"ddpg": DDPG, "td3": TD3}[algorithm].create(
            **given,
            num_critics=delay,
            policy_delay=delay,
            exploration_noise=config["noise"] * half_range,
            target_noise=TARGET_NOISE * half_range,
            target_noise_clip=TARGET_CLIP * half_range,
            actor_kwargs={"activation": "relu"},
            critic_kwargs={"activation": "relu"},
        )  # `create_agent` passes its own widths, so they cannot be set above
        agent = agent.replace(
            actor=agent.actor.clone(hidden_layer_sizes=hidden), critic=agent.critic.clone(hidden_layer_sizes=hidden)
        )

    def counter(path: Any) -> bool:
        return getattr(path[-1], "name", "") in ("global_step", "index", "full")

    state = jax.jit(jax.vmap(agent.init_state))(jnp.stack([jax.random.PRNGKey(seed) for seed in seeds]))
    axes = jax.tree_util.tree_map_with_path(lambda path, _: None if counter(path) else 0, state)
    state = jax.tree_util.tree_map_with_path(
        lambda path, x: (x[0] if counter(path) else x).astype(x.dtype), state
    )  # `astype` removes weak types, with which everything would be compiled twice

    def train(state: Any) -> Any:
        return jax.lax.fori_loop(0, iterations, lambda _, ts: agent.train_iteration(ts), state)

    def greedy(params: Any) -> Any:
        def mean_action(obs: Any, _: Any) -> Any:
            if algorithm != "sac":
                return agent.actor.apply(params, obs[None])[0]
            mean = agent.actor.apply(params, obs[None], method="_action_dist").mean()[0]
            return agent.actor.action_loc + agent.actor.action_scale * jnp.tanh(mean)

        return mean_action

    def returns(params: Any, key: Any, episodes: int) -> Any:
        return evaluate(greedy(params), key, env, env_params, episodes, env_params.max_steps_in_episode)[1].mean()

    def evaluated(count: int, episodes: int) -> list[float]:
        """Returns the mean return of each seed, from initial states that no other evaluation has."""
        keys = jnp.stack([jax.random.fold_in(jax.random.PRNGKey(1_000_000 + seed), count) for seed in seeds])
        return np.asarray(play(state.actor_ts.params, keys, episodes), float).tolist()

    play = jax.jit(jax.vmap(returns, in_axes=(0, 0, None)), static_argnums=2)
    run = jax.jit(jax.vmap(train, in_axes=(axes,), out_axes=axes), donate_argnums=0)
    for count in range(1, config["evaluations"] + 1):
        state = run(state)
        line.evaluated(count * chunk_steps, evaluated(count, config["episodes"]))

    differs = [
        "a time limit is treated as termination: no bootstrapping there",
        "minibatches without replacement",
        "weights start LeCun normal, the last layers too",
    ]
    if line.updates_per_step > 1:
        differs.append(f"targets averaged once per {delay * line.updates_per_step} critic updates")
    if algorithm == "td3":
        differs.append("the actor ascends the mean of both critics, once per two critic updates")
    if algorithm == "sac":
        differs.append("warm-up with the untrained policy, not uniform; actor updated before the critic")
    settings = {
        "algorithm": algorithm,
        "seeds": seeds,
        "num_envs": envs,
        "updates_per_step": line.updates_per_step,
        "critics": agent.num_critics,
        "policy_delay": delay,
        "learning_rate": float(agent.learning_rate),
        "polyak": float(agent.polyak),
        "discount": float(agent.gamma),
        "hidden": hidden,
        "batch_size": agent.batch_size,
        "warmup_steps": agent.fill_buffer,
        "replay_rows": rows,
        "time_limit": int(env_params.max_steps_in_episode),
        "differs": differs,
    }
    if algorithm == "sac":
        settings |= {"temperature": "learned from 1.0 at the same rate", "target_entropy": -int(np.prod(space.shape))}
    else:
        settings |= {"exploration_noise": float(agent.exploration_noise)}
    if algorithm == "td3":
        settings |= {
            "target_noise": float(agent.target_noise),
            "target_noise_clip": float(agent.target_noise_clip),
        }
    final = evaluated(0, config["final_episodes"])
    line.learned(final, settings, ("rejax", "jax", "flax", "optax", "gymnax"))


if __name__ == "__main__":
    serve(main, LEARNING)
