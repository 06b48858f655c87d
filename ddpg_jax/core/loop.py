"""The training loop: act, step the environments, store, sample and update, in one compiled program.

The index of the scan (`vector_step`: one step of all N environments) is an argument of every function here. The row of
the replay, how full it is, the index of an update and all randomness derive from it. Under `vmap` over seeds it stays
unbatched, so that a `lax.cond` that depends on it stays a cond.

All phases are in this file because together they show which random key is used for what.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ddpg_jax.core.agent import td_error
from ddpg_jax.core.divergence import NEVER, check_finite, freeze_diverged, initial_nonfinite_at, keep_learner
from ddpg_jax.core.exploration import uniform
from ddpg_jax.core.metrics import accumulate, means
from ddpg_jax.core.packing import accumulate_packed
from ddpg_jax.core.platforms import on_gpu
from ddpg_jax.core.rng import fold_in_each
from ddpg_jax.core.settings import SettingError, check, configclass, setting
from ddpg_jax.core.types import (
    Agent,
    Array,
    Env,
    Explorer,
    Key,
    Learner,
    Memory,
    Metrics,
    Trainer,
    TrainState,
    Transition,
    VecEnv,
)
from ddpg_jax.core.vector_env import ResetMode, vectorize

KEYS = 7  # into which the key of a run is split


@configclass
class LoopConfig:
    """How data is gathered and how much is learned from it; the same for every algorithm, and all static."""

    num_envs: int = setting(default=1, help="parallel environments N per seed", low=1)
    updates_per_step: int = setting(default=1, help="gradient updates per step of all N environments", low=1)
    batch_size: int = setting(default=256, help="transitions in a minibatch", low=1)
    replay_capacity: int = setting(
        default=1_000_000,
        help="transitions that the replay buffer of a seed holds; no more are allocated than the run has steps",
        low=1,
    )
    n_step: int = setting(default=1, help="n of n-step returns: rewards summed before bootstrapping", low=1)
    warmup_steps: int = setting(
        default=1_000, help="environment steps with uniform random actions before the first update", low=1
    )
    reset_mode: ResetMode = setting(
        default="pool",
        help="where new episodes start: in a pool of initial states, in a fresh reset computed at every step, or in "
        "each environment's first state",
    )
    pool_size: int = setting(default=64, help="initial states in the pool, drawn anew for every chunk", low=1)
    matmul_precision: Literal["float32", "tensorfloat32", "bfloat16"] = setting(
        default="float32", help="precision of matrix products; below float32 is faster on GPU and TPU, and less exact"
    )


def trainer(env: Env, agent: Agent, loop: LoopConfig = LoopConfig()) -> Trainer:
    """Returns the phases of a run as pure functions of one seed's state.

    Args:
      env, agent, loop: what to train on, what learns, and how data flows between them.

    Returns:
      `init(key)` -> state.
      `prefill(state)` -> state whose replay holds `warmup_steps` steps of uniform random actions.
      `train(state, vector_step, length)` -> (state, metrics summed over `length` vector steps). The first vector step
      is `Trainer.warmup`. `length` may be traced, so one compiled program serves every length. If anything was not
      finite, the learner stays as it was before `train`, for the rest of the run (`TrainState.nonfinite_at`).
      `refill(state, vector_step)` -> state whose replay holds steps of the present policy, for a checkpoint that was
      saved without its replay.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(loop)
    vec_env = vectorize(env, loop.num_envs, loop.reset_mode, loop.pool_size)
    memory = agent.memory(env.spec, loop.num_envs, loop.replay_capacity, loop.batch_size, loop.n_step, agent.discount)
    warmup = -(-loop.warmup_steps // loop.num_envs)
    run = _Run(agent, loop, vec_env, memory, warmup, env.spec.action_size)
    return Trainer(partial(_init, run), partial(_prefill, run), partial(_train, run), partial(_refill, run), warmup)


class _Run(NamedTuple):
    """What the phases of a run have in common."""

    agent: Agent
    loop: LoopConfig
    vec_env: VecEnv
    memory: Memory
    warmup: int  # vector steps of `prefill`
    action_size: int


def _init(run: _Run, key: Key) -> TrainState:
    env_key, agent_key, *keys = jax.random.split(key, KEYS)
    learner = run.agent.init(agent_key)
    with jax.default_matmul_precision(run.loop.matmul_precision):
        env = run.vec_env.reset(env_key)
    return TrainState(
        keys=jnp.stack(keys),
        env=env,
        noise=_noise(run),
        learner=learner,
        memory=run.memory.init(),
        nonfinite_at=initial_nonfinite_at(learner),
    )


def _noise(run: _Run) -> Any:
    """Returns the explorer's state at the start of a run.

    Raises:
      SettingError: a part of it is not of all environments, which may be on several devices.
    """
    noise = run.agent.explorer.init(run.loop.num_envs)
    for leaf in jax.tree.leaves(noise):
        if jnp.shape(leaf)[:1] != (run.loop.num_envs,):
            raise SettingError(
                f"explorer must have a state [N, ...] for N = {run.loop.num_envs:,} environments, not one of shape "
                f"{list(jnp.shape(leaf))}."
            )
    return noise


def _prefill(run: _Run, state: TrainState) -> TrainState:
    explorer = uniform(run.action_size)

    def step(vector_step, state):
        keys = fold_in_each(state.keys[:2], vector_step)
        stepped, transition, _ = _interact(run, explorer, replace(state, noise=()), vector_step, keys)
        nonfinite_at = check_finite(state.learner, state.nonfinite_at, vector_step, transition, {})
        return replace(stepped, noise=state.noise, nonfinite_at=nonfinite_at)

    with jax.default_matmul_precision(run.loop.matmul_precision):
        return jax.lax.fori_loop(0, run.warmup, step, state)


def _train(run: _Run, state: TrainState, vector_step: Any, length: Any) -> tuple[TrainState, Metrics]:
    vector_step = jnp.asarray(vector_step, jnp.int32)
    kept, learner = keep_learner(state.learner)
    with jax.default_matmul_precision(run.loop.matmul_precision):
        env = run.vec_env.refresh(jax.random.fold_in(state.keys[4], vector_step), state.env)
        state = replace(state, env=env, learner=learner)
        step = partial(_train_step, run)
        on_each = partial(accumulate_packed, step), partial(accumulate, step)
        trained, metrics = on_gpu(*on_each, state, vector_step, jnp.asarray(length, jnp.int32))
    return freeze_diverged(kept, trained, vector_step + length), metrics


def _train_step(run: _Run, state: TrainState, vector_step: Array) -> tuple[TrainState, Metrics]:
    keys = fold_in_each(state.keys[:2], vector_step)
    begins = vector_step == run.warmup  # the warm-up, which has no noise, may have ended within an episode
    state, transition, metrics = _interact(run, run.agent.explorer, state, vector_step, keys, begins)
    state, losses = _learn(run, state, vector_step)
    nonfinite_at = check_finite(state.learner, state.nonfinite_at, vector_step, transition, losses)
    return replace(state, nonfinite_at=nonfinite_at), metrics | losses


def _interact(
    run: _Run, explorer: Explorer, state: TrainState, vector_step: Array, keys: Key, begins: Array | bool = False
) -> tuple[TrainState, Transition, Metrics]:
    """Acts once in every environment and stores the transitions [N, ...].

    Args:
      keys: [2], of the action and of the environments.
      begins: whether the noise begins anew in all environments, as it does where an episode begins.
    """
    (act_key, env_key), current = keys, state.env.env
    first = (current.time == 0) | begins
    action, noise = explorer.act(state.learner, state.noise, current.obs, first, vector_step, act_key)
    env_state, transition, metrics = run.vec_env.step(env_key, state.env, action)
    learner = run.agent.observe(state.learner, transition)
    ring = run.memory.add(state.memory, vector_step, transition)
    return replace(state, env=env_state, noise=noise, learner=learner, memory=ring), transition, metrics


def _learn(run: _Run, state: TrainState, vector_step: Array) -> tuple[TrainState, Metrics]:
    """Makes the updates of one vector step, each from a minibatch of its own."""

    def update(learner, update_step):
        _, learner, losses = _update(run, state.keys, state.memory, vector_step, learner, update_step)
        return learner, losses

    update_step = (vector_step - run.warmup) * run.loop.updates_per_step
    if run.memory.prioritize is not None:
        return _learn_priorities(run, run.memory.prioritize, state, vector_step, update_step)
    learner, losses = accumulate(update, state.learner, update_step, run.loop.updates_per_step)
    return replace(state, learner=learner), losses


def _learn_priorities(
    run: _Run, prioritize: Callable[..., Any], state: TrainState, vector_step: Array, update_step: Array
) -> tuple[TrainState, Metrics]:
    """Makes these updates where the memory learns from their TD errors, too."""

    def update(carry, update_step):
        batch, learner, losses = _update(run, state.keys, carry[1], vector_step, carry[0], update_step)
        error = td_error(run.agent, learner, batch)
        return (learner, prioritize(carry[1], batch.index, error)), losses

    start = state.learner, state.memory
    (learner, ring), losses = accumulate(update, start, update_step, run.loop.updates_per_step)
    return replace(state, learner=learner, memory=ring), losses


def _update(
    run: _Run, keys: Key, ring: Any, vector_step: Array, learner: Learner, update_step: Array
) -> tuple[Transition, Learner, Metrics]:
    """Makes one update; also returns its minibatch [B, ...]."""
    sample_key, update_key = fold_in_each(keys[2:4], update_step)
    batch = run.memory.sample(ring, vector_step + 1, sample_key)
    learner, losses = run.agent.update(learner, batch, update_key, update_step)
    return batch, learner, losses


def _refill(run: _Run, state: TrainState, vector_step: Any) -> TrainState:
    rows = -(-run.loop.replay_capacity // run.loop.num_envs) + 1  # a replay of images keeps one row more
    keys = fold_in_each(fold_in_each(state.keys[:2], NEVER), vector_step)

    def step(past_step, state):
        return _interact(run, run.agent.explorer, state, past_step, fold_in_each(keys, past_step))[0]

    with jax.default_matmul_precision(run.loop.matmul_precision):
        empty = replace(state, memory=run.memory.init())
        filled = jax.lax.fori_loop(jnp.maximum(vector_step - rows, 0), vector_step, step, empty)
    return replace(filled, learner=state.learner)  # these observations are not counted by the normalizer


def train(
    key: Key, env: Env, agent: Agent, loop: LoopConfig = LoopConfig(), *, steps: int, chunks: int = 20
) -> tuple[TrainState, dict[str, Array]]:
    """Trains one seed; a pure function of its key, so `jax.jit(jax.vmap(lambda key: train(key, ...)))` trains many.

    Args:
      key: the only source of randomness.
      env, agent, loop: what to train on, what learns, and how data flows between them.
      steps: environment steps, warm-up included, rounded up to whole vector steps.
      chunks: number of points of the learning curve; the pool of initial states is drawn anew for each.

    Returns:
      The final state, and metrics [chunks]: the mean of each quantity over its chunk, NaN where there is no value.

    Raises:
      SettingError: a setting has a value that cannot be used, or `steps` leave nothing after the warm-up.
    """
    run = trainer(env, agent, fitted_replay(check(loop), steps))
    bounds = jnp.asarray(chunk_bounds(run.warmup, -(-steps // loop.num_envs), chunks))
    state = run.prefill(run.init(key))

    def chunk(state, bound):
        return run.train(state, bound[0], bound[1] - bound[0])

    state, totals = jax.lax.scan(chunk, state, jnp.stack([bounds[:-1], bounds[1:]], axis=1))
    return state, means(totals)


def fitted_replay(loop: LoopConfig, steps: int) -> LoopConfig:
    """Returns the settings with a replay no larger than a run can fill.

    It is never full before the run ends, so the same transitions are sampled as from a larger one.

    Args:
      loop: the settings.
      steps: environment steps of the run, which are rounded up to whole vector steps.
    """
    filled = -(-steps // loop.num_envs) * loop.num_envs
    return replace(loop, replay_capacity=min(loop.replay_capacity, filled))


def chunk_bounds(warmup: int, vector_steps: int, chunks: int) -> list[int]:
    """Returns the vector steps that divide [warmup, vector_steps] into at most `chunks` parts of nearly equal length.

    Raises:
      SettingError: nothing is left after the warm-up.
    """
    learning = vector_steps - warmup
    if learning < 1:
        raise SettingError(
            f"steps must be above warmup_steps: there are {vector_steps} vector steps, and {warmup} of warm-up."
        )
    chunks = max(1, min(chunks, learning))
    return [warmup + learning * i // chunks for i in range(chunks + 1)]
