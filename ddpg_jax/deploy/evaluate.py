"""A trained policy played in Gymnasium's environments, which run on the host, one step at a time."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ddpg_jax.core.episodes import Evaluation, evaluate
from ddpg_jax.core.settings import INT32, SettingError, count
from ddpg_jax.deploy.policy import Policy, load_learners, load_policies
from ddpg_jax.runs.experiment import summarize
from ddpg_jax.runs.programs import episode_keys
from ddpg_jax.runs.stored_run import read_run


def play_gymnasium(
    policy: Policy | Callable[[np.ndarray], Any], env: Any, episodes: int = 32, seed: int = 0
) -> Evaluation:
    """Plays whole episodes, one after the other.

    Args:
      policy: from `load_policy`; or any function of an observation [*O] to an action in the environment's own units,
        of which nothing is checked.
      env: a Gymnasium id, or a `gymnasium.Env` that ends its episodes; it stays open.
      episodes: how many.
      seed: of the initial states and the environment's own randomness.

    Returns:
      The returns and the lengths [E] as NumPy arrays, lengths in decisions: a policy trained with an action repeat
      decides once for so many of the environment's steps.

    Raises:
      SettingError: no such environment, other observations or actions than those of the policy, or a number that
        cannot be used.
    """
    from ddpg_jax.envs import gymnasium

    count("episodes", episodes)
    if not isinstance(seed, int) or not 0 <= seed <= INT32:
        raise SettingError(f"seed must be from 0 to {INT32:,}, not {seed!r}.")
    world = gymnasium.opened(env)
    with contextlib.nullcontext() if world is env else contextlib.closing(world):
        spec = getattr(policy, "spec", None)
        if spec is not None:
            gymnasium.check_spaces(world, spec, str(world.spec.id if world.spec else world))
        repeat = 1 if spec is None else spec.action_repeat
        played = [_episode(policy, world, repeat, None if i else seed) for i in range(episodes)]
    returns, lengths = zip(*played, strict=True)
    return Evaluation(np.array(returns), np.array(lengths))  # type: ignore[arg-type]


def _episode(policy: Any, env: Any, repeat: int, seed: int | None) -> tuple[float, int]:
    """The return, and the decisions it took."""
    obs, _ = env.reset(seed=seed)
    total, decisions, ended = 0.0, 0, False
    while not ended:
        obs, reward, ended = _decision(env, np.asarray(policy(obs), env.action_space.dtype), repeat)
        total, decisions = total + reward, decisions + 1
    return total, decisions


def _decision(env: Any, action: np.ndarray, repeat: int) -> tuple[Any, float, bool]:
    """The action taken so many times, or until the episode ends: obs, the sum of rewards, whether it has ended."""
    total, ended = 0.0, False
    for _ in range(repeat):
        obs, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), bool(terminated or truncated)
        if ended:
            break
    return obs, total, ended


def evaluate_run(folder: Path, episodes: int, seed: int = 0) -> dict[str, Any]:
    """Plays fresh episodes with every policy of a run folder.

    Returns:
      environment, algorithm, episodes, and under "seeds" a row per seed as in `summarize`.

    Raises:
      SettingError: the folder holds no run of ours, or a number cannot be used.
    """
    for name, number, low in (("episodes", episodes, 1), ("seed", seed, 0)):
        if not low <= number <= INT32:
            raise SettingError(f"{name} must be from {low} to {INT32:,}, not {number}.")
    agent, learners, run = load_learners(folder)
    env = run.make_env()
    keys = episode_keys(seed, run.run.seeds)

    def play(key, learner):
        return evaluate(key, env, lambda obs: agent.act(learner, obs), episodes)

    table = summarize(run.run, jax.jit(jax.vmap(play))(keys, learners))
    return {"environment": env.spec.name, "algorithm": run.algorithm, "episodes": episodes, "seeds": table}


def evaluate_gymnasium(folder: Path, env: str, episodes: int, seed: int = 0) -> dict[str, Any]:
    """Plays the policies of a run in a Gymnasium environment; what it returns is as from `evaluate_run`.

    Raises:
      SettingError: the folder holds no run of ours, or as for `play_gymnasium`.
    """
    policies, run = load_policies(folder), read_run(folder)
    played = [play_gymnasium(policy, env, episodes, seed) for policy in policies]
    result = jax.tree.map(lambda *parts: np.stack(parts), *played)  # [S, E]
    table = summarize(run.run, result)
    return {"environment": f"Gymnasium's {env}", "algorithm": run.algorithm, "episodes": episodes, "seeds": table}
