"""A finished run, taken away: its policy and its critic as plain callables on NumPy arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Learner, Spec
from ddpg_jax.runs.checkpoint import about, load_learner, newest
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.run_folder import best_seed, differences, read_config


def load_learners(folder: str | Path) -> tuple[Agent, Learner, dict[str, Any]]:
    """The agent, the learners of all seeds [S, ...] and the configuration of a run folder.

    Raises:
      SettingError: the folder holds no run of ours.
    """
    stored = read_config(folder)
    said = about(Path(folder), newest(Path(folder)))["config"]
    if changed := differences(said, stored["raw"], ("config", "spec")):
        raise SettingError(f"{folder} holds a checkpoint that does not fit its config.json ({changed}).")
    agent = algorithms()[stored["algorithm"]].make(stored["config"], stored["spec"])
    precision = stored["loop"].get("matmul_precision", "float32")  # older runs did not name it
    agent = agent._replace(act=_precise(agent.act, precision), value=_precise(agent.value, precision))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), stored["run"]["seeds"]))
    return agent, load_learner(Path(folder), jax.eval_shape(jax.vmap(agent.init), keys)), stored


def _precise(function: Callable[..., Any], precision: str) -> Callable[..., Any]:
    def call(*args):
        with jax.default_matmul_precision(precision):
            return function(*args)

    return call


class Trained(NamedTuple):
    """One seed of a finished run, as it was trained."""

    agent: Agent
    learner: Learner
    stored: dict[str, Any]  # config.json, as `read_config` gives it
    seed: int

    @property
    def spec(self) -> Spec:
        """Of the environment that it was trained in."""
        return self.stored["spec"]

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
    agent, learners, stored = load_learners(folder)
    first, count = stored["run"]["seed"], stored["run"]["seeds"]
    return [_policy(Trained(agent, _at(learners, i), stored, first + i)) for i in range(count)]


def _policy(trained: Trained) -> Policy:
    act = jax.jit(trained.agent.act)
    return Policy(trained.spec, trained.seed, lambda obs: act(trained.learner, obs))


def load_critic(folder: str | Path, seed: int | None = None) -> Callable[[Any, Any], np.ndarray]:
    """The critic Q of a finished run; arguments and errors as for `load_policy`.

    Returns:
      critic(obs [*O] or [B, *O], action in the environment's own shape and units, one or B) -> Q [] or [B], of rewards
      times the run's `reward_scale`.
    """
    agent, learner, stored, _ = one_learner(folder, seed)
    spec = stored["spec"]
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
    agent, learners, stored = load_learners(folder)
    first, count = stored["run"]["seed"], stored["run"]["seeds"]
    if seed is None:
        seed = best_seed(folder)
    if not isinstance(seed, int | np.integer) or not first <= seed < first + count:
        raise SettingError(f"seed must be from {first} to {first + count - 1} in {folder}, not {seed!r}.")
    return Trained(agent, _at(learners, seed - first), stored, int(seed))


def _at(learners: Learner, place: int) -> Learner:
    return jax.tree.map(lambda leaf: leaf[place], learners)


def _fit(value: Any, shape: tuple[int, ...], what: str, spec: Spec) -> np.ndarray:
    array = np.asarray(value, spec.obs_dtype if what == "obs" else np.float32)
    if array.shape != shape and array.shape[1:] != shape:
        raise ValueError(f"{what} must have shape {shape} or (batch, *{shape}) for {spec.name}, not {array.shape}.")
    return array
