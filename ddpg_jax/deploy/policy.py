"""The policy and the critic of a finished run as plain functions of NumPy arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ddpg_jax.core.episodes import check_precision
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.core.types import Agent, Learner, Spec
from ddpg_jax.runs.checkpoint import load_learner, read_metadata
from ddpg_jax.runs.choose_checkpoint import Checkpoint, find_checkpoint
from ddpg_jax.runs.evaluation import best_seed
from ddpg_jax.runs.reading import reads_again
from ddpg_jax.runs.run_folder import differences
from ddpg_jax.runs.stored_run import Run, at_precision, read_run

Source = str | Path | Run  # a run folder, or what `open_run` returns


@reads_again
def load_learners(folder: Source, checkpoint: Checkpoint = "latest") -> tuple[Agent, Learner, Run]:
    """Returns the agent, the learners of all seeds [S, ...] and the settings of a run folder.

    Args:
      folder, checkpoint: as for `load_policy`.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, no readable checkpoint, or one whose settings differ from
        config.json.
    """
    run = read_run(folder)
    run.refuse_sweep()
    vector_step = find_checkpoint(run, checkpoint)
    if changed := differences(read_metadata(run.folder, vector_step).config, run.contents):
        raise SettingError(f"{run.folder}/config.json must have the settings of its checkpoint, and {changed}.")
    agent = run.make_agent()
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), run.run.seeds))
    return agent, load_learner(run.folder, vector_step, jax.eval_shape(jax.vmap(agent.init), keys)), run


class InMemory(NamedTuple):
    """What is known of a policy that is in no run folder; the fields are those of `Run`."""

    spec: Spec
    config: Any = None
    algorithm: str = "policy"


class TrainedSeed(NamedTuple):
    """One seed of a finished run: its agent, what it learned, and the settings of the run."""

    agent: Agent
    learner: Learner
    run: Any  # a `Run` or an `InMemory`
    seed: int

    @property
    def spec(self) -> Spec:
        """The spec of the environment that it was trained in."""
        return self.run.spec

    def policy(self, obs: Any) -> Any:
        """Returns the action of the policy μ for obs [..., *O], in the environment's own shape and units; traceable."""
        return self.spec.to_native(self.agent.act(self.learner, obs))


class Policy(NamedTuple):
    """The deterministic policy μ of a finished run: policy(obs [*O] or [B, *O]) -> action.

    Actions are in the environment's own shape and units, within its bounds.
    """

    spec: Spec
    seed: int
    act: Callable[[Any], Any]  # obs -> action in [-1, 1]
    trained: TrainedSeed | None = None  # for `export`

    def __call__(self, obs: Any) -> np.ndarray:
        """Returns the action for one observation [*O] or a batch of them [B, *O].

        Raises:
          SettingError: obs has another shape, or a dtype that becomes that of the spec only with a loss.
        """
        obs = _as_batch(obs, self.spec.obs_shape, self.spec.obs_dtype, "obs", self.spec.name)
        return self.spec.to_native(np.asarray(self.act(obs)))


def load_policy(folder: Source, seed: int | None = None, checkpoint: Checkpoint = "latest") -> Policy:
    """Loads the deterministic policy μ of a finished run.

    Args:
      folder: the run folder, or what `open_run` returns.
      seed: which seed of the run; None takes the best by final evaluation.
      checkpoint: "latest", "best" (by the mean evaluation return of the seeds), or the environment steps per seed at
        which it was saved.

    Returns:
      policy(obs [*O] or [B, *O]) -> action, in the environment's own shape and units, within its bounds.

    Raises:
      SettingError: the folder holds no run of ddpg_jax, or the run has no such seed or checkpoint.
    """
    return _policy(load_seed(folder, seed, checkpoint))


def load_policies(folder: Source, checkpoint: Checkpoint = "latest") -> list[Policy]:
    """Loads the policies of all seeds of a run, in the order of the seeds; errors as for `load_policy`."""
    agent, learners, run = load_learners(folder, checkpoint)
    seeds = enumerate(run.run.seed_numbers())
    return [_policy(TrainedSeed(agent, _at_index(learners, index), run, seed)) for index, seed in seeds]


def _policy(trained: TrainedSeed) -> Policy:
    act = jax.jit(trained.agent.act)
    return Policy(trained.spec, trained.seed, lambda obs: act(trained.learner, obs), trained)


def make_policy(
    agent: Agent,
    learner: Learner,
    spec: Spec,
    config: Any = None,
    seed: int = 0,
    matmul_precision: str = LoopConfig.matmul_precision,
) -> Policy:
    """Returns the deterministic policy μ of a learner in memory, such as `train(...)[0].learner`.

    Args:
      agent: what was trained.
      learner: of one seed, without a leading dimension.
      spec: of the environment.
      config: the algorithm's settings, which `export` to "npz" needs.
      seed: a number for titles.
      matmul_precision: of its matrix products, as in `LoopConfig`.

    Raises:
      SettingError: there is no such precision.
    """
    check_precision(matmul_precision)
    return _policy(TrainedSeed(at_precision(agent, matmul_precision), learner, InMemory(spec, config), seed))


def load_critic(
    folder: Source, seed: int | None = None, checkpoint: Checkpoint = "latest"
) -> Callable[[Any, Any], np.ndarray]:
    """Loads the critic Q of a finished run; arguments and errors as for `load_policy`.

    Returns:
      critic(obs, action) -> Q, for one observation [*O] or a batch [B, *O]; actions are in the environment's own shape
      and units, and Q is in units of reward times the run's `reward_scale`. Errors are those of a `Policy`.
    """
    agent, learner, run, _ = load_seed(folder, seed, checkpoint)
    spec = run.spec
    value = jax.jit(agent.value)

    def critic(obs: Any, action: Any) -> np.ndarray:
        obs = _as_batch(obs, spec.obs_shape, spec.obs_dtype, "obs", spec.name)
        action = _as_batch(action, spec.action_low.shape, np.dtype(np.float32), "action", spec.name)
        action = spec.from_native(action)
        batch = np.broadcast_shapes(obs.shape[: obs.ndim - len(spec.obs_shape)], action.shape[:-1])
        obs, action = np.broadcast_to(obs, batch + spec.obs_shape), np.broadcast_to(action, (*batch, spec.action_size))
        return np.asarray(value(learner, obs, action))

    return critic


@reads_again
def load_seed(folder: Source, seed: int | None = None, checkpoint: Checkpoint = "latest") -> TrainedSeed:
    """Loads one seed of a run with all that it learned; arguments and errors as for `load_policy`."""
    agent, learners, run = load_learners(folder, checkpoint)
    seeds = run.run.seed_numbers()
    if seed is None:
        seed = best_seed(run)
    if not isinstance(seed, int | np.integer) or seed not in seeds:
        raise SettingError(f"seed must be from {seeds[0]} to {seeds[-1]} in {folder}, not {seed!r}.")
    return TrainedSeed(agent, _at_index(learners, seed - seeds[0]), run, int(seed))


def _at_index(learners: Learner, index: int) -> Learner:
    return jax.tree.map(lambda leaf: leaf[index], learners)


def _as_batch(value: Any, shape: tuple[int, ...], dtype: np.dtype, what: str, name: str) -> np.ndarray:
    """Returns one or a batch of the observations or actions of the environment called `name` as an array.

    Raises:
      SettingError: it is no array of numbers, has another shape, or a cast to the dtype would change its numbers.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths
        raise SettingError(f"{what} must be an array of numbers for {name}, not {shown(value)}.") from None
    if not _holds(dtype, array):
        raise SettingError(
            f"{what} must be {dtype} for {name}, or numbers that {dtype} holds without a loss, not {array.dtype}."
        )
    if array.shape != shape and array.shape[1:] != shape:
        batch = str(("batch", *shape)).replace("'", "")
        raise SettingError(f"{what} must have shape {shape} or {batch} for {name}, not {array.shape}.")
    return np.asarray(array, dtype)


def _holds(dtype: np.dtype, array: np.ndarray) -> bool:
    """Returns whether numbers stay what they are in a dtype; floats may be rounded to narrower ones."""
    if dtype.kind not in "iub" or array.dtype.kind not in "iuf":
        return np.can_cast(array.dtype, dtype, "same_kind")
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return bool(((array == np.floor(array)) & (array >= low) & (array <= high)).all())
