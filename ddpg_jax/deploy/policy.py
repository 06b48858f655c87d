"""The policy and the critic of a finished run as plain functions of NumPy arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Learner, Spec
from ddpg_jax.runs.checkpoint import load_learner, newest_first, read_metadata
from ddpg_jax.runs.evaluation import best_seed
from ddpg_jax.runs.run_folder import differences
from ddpg_jax.runs.stored_run import Run, read_run


def load_learners(folder: str | Path) -> tuple[Agent, Learner, Run]:
    """Returns the agent, the learners of all seeds [S, ...] and the settings of a run folder.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, no readable checkpoint, or one that was made with other
        settings than config.json has.
    """
    run = read_run(folder)
    newest = newest_first(run.folder)[0]
    if changed := differences(read_metadata(run.folder, newest).config, run.contents):
        raise SettingError(f"{run.folder}/config.json must have the settings of its checkpoint, and {changed}.")
    agent = run.make_agent()
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), run.run.seeds))
    return agent, load_learner(run.folder, newest, jax.eval_shape(jax.vmap(agent.init), keys)), run


class Trained(NamedTuple):
    """One seed of a finished run, as it was trained."""

    agent: Agent
    learner: Learner
    run: Run
    seed: int

    @property
    def spec(self) -> Spec:
        """Of the environment that it was trained in."""
        return self.run.spec

    def act(self, obs: Any) -> Any:
        """The policy μ as one traceable function: obs [..., *O] -> action in the environment's own shape and units."""
        return self.spec.to_native(self.agent.act(self.learner, obs))


class Policy(NamedTuple):
    """The deterministic policy μ of a finished run: policy(obs [*O] or [B, *O]) -> action.

    Actions are in the environment's own shape and units, within its bounds.
    """

    spec: Spec
    seed: int
    greedy: Callable[[Any], Any]  # obs -> action in [-1, 1]

    def __call__(self, obs: Any) -> np.ndarray:
        obs = _fit(obs, self.spec.obs_shape, "obs", self.spec)
        return self.spec.to_native(np.asarray(self.greedy(obs)))


def load_policy(folder: str | Path, seed: int | None = None) -> Policy:
    """The deterministic policy μ of a finished run.

    Args:
      folder: the run folder.
      seed: which seed of the run; None takes the best by final evaluation.

    Returns:
      policy(obs [*O] or [B, *O]) -> action, in the environment's own shape and units, within its bounds.

    Raises:
      SettingError: the folder holds no run of ours, or the run has no such seed.
    """
    return _policy(one_learner(folder, seed))


def load_policies(folder: str | Path) -> list[Policy]:
    """The policies of all seeds of a run, in their order; errors as for `load_policy`."""
    agent, learners, run = load_learners(folder)
    return [_policy(Trained(agent, _at(learners, i), run, seed)) for i, seed in enumerate(run.run.seed_numbers())]


def _policy(trained: Trained) -> Policy:
    act = jax.jit(trained.agent.act)
    return Policy(trained.spec, trained.seed, lambda obs: act(trained.learner, obs))


def load_critic(folder: str | Path, seed: int | None = None) -> Callable[[Any, Any], np.ndarray]:
    """The critic Q of a finished run; arguments and errors as for `load_policy`.

    Returns:
      critic(obs [*O] or [B, *O], action in the environment's own shape and units, one or B) -> Q [] or [B], of rewards
      times the run's `reward_scale`.
    """
    agent, learner, run, _ = one_learner(folder, seed)
    spec = run.spec
    value = jax.jit(agent.value)

    def critic(obs: Any, action: Any) -> np.ndarray:
        obs = _fit(obs, spec.obs_shape, "obs", spec)
        action = spec.from_native(_fit(action, spec.action_low.shape, "action", spec))
        lead = np.broadcast_shapes(obs.shape[: obs.ndim - len(spec.obs_shape)], action.shape[:-1])
        obs, action = np.broadcast_to(obs, lead + spec.obs_shape), np.broadcast_to(action, (*lead, spec.action_size))
        return np.asarray(value(learner, obs, action))

    return critic


def one_learner(folder: str | Path, seed: int | None = None) -> Trained:
    """One seed of a run, with all that it learned; arguments and errors as for `load_policy`."""
    agent, learners, run = load_learners(folder)
    seeds = run.run.seed_numbers()
    if seed is None:
        seed = best_seed(run)
    if not isinstance(seed, int | np.integer) or seed not in seeds:
        raise SettingError(f"seed must be from {seeds[0]} to {seeds[-1]} in {folder}, not {seed!r}.")
    return Trained(agent, _at(learners, seed - seeds[0]), run, int(seed))


def _at(learners: Learner, place: int) -> Learner:
    return jax.tree.map(lambda leaf: leaf[place], learners)


def _fit(value: Any, shape: tuple[int, ...], what: str, spec: Spec) -> np.ndarray:
    array = np.asarray(value, spec.obs_dtype if what == "obs" else np.float32)
    if array.shape != shape and array.shape[1:] != shape:
        raise ValueError(f"{what} must have shape {shape} or (batch, *{shape}) for {spec.name}, not {array.shape}.")
    return array
