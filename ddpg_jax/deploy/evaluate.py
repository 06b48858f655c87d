"""Evaluation of trained policies: in their own environment on the device, or in Gymnasium's on the host."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ddpg_jax.core.environment import check_int32
from ddpg_jax.core.episodes import Evaluation, evaluate
from ddpg_jax.core.settings import check_count
from ddpg_jax.core.types import Spec
from ddpg_jax.deploy.policy import Policy, Source, load_learners, load_policies
from ddpg_jax.devices.backend import refuse_exhaustion
from ddpg_jax.envs.references import label
from ddpg_jax.runs.choose_checkpoint import Checkpoint
from ddpg_jax.runs.experiment import summarize
from ddpg_jax.runs.memory import check_episodes
from ddpg_jax.runs.programs import episode_keys
from ddpg_jax.runs.stored_run import read_run


@refuse_exhaustion()
def evaluate_run(folder: Source, episodes: int, seed: int = 0, checkpoint: Checkpoint = "latest") -> dict[str, Any]:
    """Evaluates the policies of all seeds of a run in fresh episodes.

    Args:
      folder, checkpoint: as for `load_policy`.
      episodes: the number of episodes per seed.
      seed: of the initial states.

    Returns:
      environment, algorithm, episodes, and under "seeds" a row per seed as in `summarize`.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, or a number cannot be used.
    """
    check_int32("episodes", episodes, low=1)
    check_int32("seed", seed)
    agent, learners, run = load_learners(folder, checkpoint)
    env = run.make_env_to_play()
    check_episodes(env, run.config, episodes, run.run.seeds)

    def evaluate_seed(key, learner):
        return evaluate(key, env, lambda obs: agent.act(learner, obs), episodes)

    evaluation = jax.jit(jax.vmap(evaluate_seed))(episode_keys(seed, run.run.seeds), learners)
    rows = summarize(run.run, evaluation)
    return {"environment": env.spec.name, "algorithm": label(run.algorithm), "episodes": episodes, "seeds": rows}


def evaluate_gymnasium(
    folder: Source, env: str, episodes: int, seed: int = 0, checkpoint: Checkpoint = "latest"
) -> dict[str, Any]:
    """Evaluates the policies of all seeds of a run in a Gymnasium environment; returns what `evaluate_run` returns.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, or as for `play_gymnasium`.
    """
    policies, run = load_policies(folder, checkpoint), read_run(folder)
    evaluations = [play_gymnasium(policy, env, episodes, seed) for policy in policies]
    rows = summarize(run.run, jax.tree.map(lambda *leaves: np.stack(leaves), *evaluations))  # [S, E]
    return {"environment": f"Gymnasium's {env}", "algorithm": label(run.algorithm), "episodes": episodes, "seeds": rows}


def play_gymnasium(
    policy: Policy | Callable[[np.ndarray], Any], env: Any, episodes: int = 32, seed: int = 0
) -> Evaluation:
    """Plays whole episodes of a policy in a Gymnasium environment, one after the other.

    Args:
      policy: from `load_policy`; or any function of an observation [*O] to an action in the environment's own units,
        which is not checked.
      env: a Gymnasium id, or a `gymnasium.Env` that ends its episodes and that stays open.
      episodes: the number of episodes.
      seed: of the initial states and the environment's own randomness.

    Returns:
      The returns and the lengths [E] as NumPy arrays. Lengths are in actions: a policy that was trained with an
      action repeat decides once for that many of the environment's steps.

    Raises:
      SettingError: there is no such environment, its observations or actions are not those of the policy, or a number
        cannot be used.
    """
    from ddpg_jax.envs import gymnasium

    check_count("episodes", episodes)
    check_int32("seed", seed)
    gym_env = gymnasium.open_env(env)
    with contextlib.nullcontext() if gym_env is env else contextlib.closing(gym_env):
        found = getattr(policy, "spec", None)  # of a Policy, or of what wraps one
        spec = found if isinstance(found, Spec) else None
        if spec is not None:
            gymnasium.check_spaces(gym_env, spec, str(gym_env.spec.id if gym_env.spec else gym_env))
        repeat = 1 if spec is None else spec.action_repeat
        results = [_play_episode(policy, gym_env, repeat, None if i else int(seed)) for i in range(episodes)]
    returns, lengths = zip(*results, strict=True)
    return Evaluation(np.array(returns), np.array(lengths))  # type: ignore[arg-type]


def _play_episode(policy: Any, env: Any, repeat: int, seed: int | None) -> tuple[float, int]:
    """Returns the return of an episode and its length in actions."""
    obs, _ = env.reset(seed=seed)
    total, actions, ended = 0.0, 0, False
    while not ended:
        obs, reward, ended = _repeat_action(env, np.asarray(policy(obs), env.action_space.dtype), repeat)
        total, actions = total + reward, actions + 1
    return total, actions


def _repeat_action(env: Any, action: np.ndarray, repeat: int) -> tuple[Any, float, bool]:
    """Takes an action `repeat` times, or until the episode ends: obs, the sum of rewards, whether it has ended."""
    total, ended = 0.0, False
    for _ in range(repeat):
        obs, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), bool(terminated or truncated)
        if ended:
            break
    return obs, total, ended
