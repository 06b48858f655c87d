"""The loop: act, step the environments, store, sample, update, in one compiled program that never visits the host.

The scan index (`vector_step`, in vector steps) is an argument of every step. Ring row, ring fill, update step and
randomness derive from it, and under `vmap` over seeds it stays unbatched, so that a `lax.cond` on it stays a cond.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ddpg_jax.core.divergence import NEVER, all_finite, check_finite, freeze_diverged
from ddpg_jax.core.environment import ResetMode, vectorize
from ddpg_jax.core.exploration import uniform
from ddpg_jax.core.rng import fold_in_each
from ddpg_jax.core.settings import SettingError, check, configclass, setting
from ddpg_jax.core.types import Agent, Array, Env, Explorer, Key, Metrics, Trainer, TrainState


@configclass
class LoopConfig:
    """How data is gathered and how much is learned from it; all static, all shared by every algorithm."""

    num_envs: int = setting(default=1, help="environments N that step together", low=1)
    updates_per_step: int = setting(
        default=1, help="gradient updates per vector step (one step of all N environments)", low=1
    )
    batch_size: int = setting(default=256, help="transitions in a minibatch", low=1)
    replay_capacity: int = setting(default=1_000_000, help="transitions that the replay holds, per seed", low=1)
    n_step: int = setting(default=1, help="rewards that a target adds up before it bootstraps", low=1)
    warmup_steps: int = setting(
        default=1_000, help="environment steps with uniform random actions before learning", low=1
    )
    reset_mode: ResetMode = setting(
        default="pool",
        help="where a finished episode goes on: a pool of fresh states, a reset every step, or a cached state",
    )
    pool_size: int = setting(default=64, help="initial states in the pool, renewed every chunk", low=1)
    matmul_precision: Literal["float32", "tensorfloat32", "bfloat16"] = setting(
        default="float32",
        help="of matrix products; an accelerator multiplies faster, and less reproducibly, below float32",
    )


def trainer(env: Env, agent: Agent, loop: LoopConfig = LoopConfig()) -> Trainer:
    """The three phases of a run as pure functions of one seed's state.

    Returns:
      init(key) -> state; prefill(state) -> state with `warmup_steps` uniform random steps stored;
      train(state, vector_step, length) -> (state, metrics summed over `length` vector steps). `vector_step` starts at
      `Trainer.warmup`; `length` may be traced, so one compiled program serves every length. Where anything was not
      finite, the learner stays as it was before `train`, for good (`TrainState.nonfinite_at`).
      refill(state, vector_step) -> state whose memory holds steps of the present policy, where the replay was not
      kept.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(loop)
    vec_env = vectorize(env, loop.num_envs, loop.reset_mode, loop.pool_size)
    memory = agent.memory(env.spec, loop.num_envs, loop.replay_capacity, loop.batch_size, loop.n_step, agent.discount)
    warmup = -(-loop.warmup_steps // loop.num_envs)

    def init(key: Key) -> TrainState:
        env_key, agent_key, *keys = jax.random.split(key, 7)
        learner = agent.init(agent_key)
        return TrainState(
            keys=jnp.stack(keys),
            env=vec_env.reset(env_key),
            noise=agent.explorer.init(loop.num_envs),
            learner=learner,
            memory=memory.init(),
            nonfinite_at=all_finite(learner),
        )

    def interact(explorer: Explorer, state: TrainState, vector_step: Array, act_key: Key, env_key: Key) -> Any:
        running = state.env.env
        action, noise = explorer.act(state.learner, state.noise, running.obs, running.time == 0, vector_step, act_key)
        env_state, transition, metrics = vec_env.step(env_key, state.env, action)
        learner, ring = agent.observe(state.learner, transition), memory.add(state.memory, vector_step, transition)
        return replace(state, env=env_state, noise=noise, learner=learner, memory=ring), transition, metrics

    def prefill(state: TrainState) -> TrainState:
        explorer = uniform(env.spec.action_size)

        def step(vector_step, state):
            act_key, env_key = fold_in_each(state.keys[:2], vector_step)
            random, *_ = interact(explorer, replace(state, noise=()), vector_step, act_key, env_key)
            return replace(random, noise=state.noise)

        with jax.default_matmul_precision(loop.matmul_precision):
            return jax.lax.fori_loop(0, warmup, step, state)

    def refill(state: TrainState, vector_step: Any) -> TrainState:
        rows = -(-loop.replay_capacity // loop.num_envs) + 1  # a replay of images keeps a row more
        keys = fold_in_each(fold_in_each(state.keys[:2], NEVER), vector_step)

        def step(past, state):
            act_key, env_key = fold_in_each(keys, past)
            return interact(agent.explorer, state, past, act_key, env_key)[0]

        with jax.default_matmul_precision(loop.matmul_precision):
            empty = replace(state, memory=memory.init())
            filled = jax.lax.fori_loop(jnp.maximum(vector_step - rows, 0), vector_step, step, empty)
        return replace(filled, learner=state.learner)  # no observation is counted twice

    def learn(state: TrainState, vector_step: Array) -> tuple[TrainState, Metrics]:
        def update(learner, update_step):
            sample_key, update_key = fold_in_each(state.keys[2:4], update_step)
            batch = memory.sample(state.memory, vector_step + 1, sample_key)  # [B, ...]
            return agent.update(learner, batch, update_key, update_step)

        update_step = (vector_step - warmup) * loop.updates_per_step
        learner, losses = accumulate(update, state.learner, update_step, loop.updates_per_step)
        return replace(state, learner=learner), losses

    def train_step(state: TrainState, vector_step: Array) -> tuple[TrainState, Metrics]:
        act_key, env_key = fold_in_each(state.keys[:2], vector_step)
        state, transition, metrics = interact(agent.explorer, state, vector_step, act_key, env_key)
        state, losses = learn(state, vector_step)
        nonfinite_at = check_finite(state.learner, state.nonfinite_at, vector_step, transition, losses)
        return replace(state, nonfinite_at=nonfinite_at), metrics | losses

    def train(state: TrainState, vector_step: Any, length: Any) -> tuple[TrainState, Metrics]:
        vector_step = jnp.asarray(vector_step, jnp.int32)
        state = replace(state, env=vec_env.refresh(jax.random.fold_in(state.keys[4], vector_step), state.env))
        with jax.default_matmul_precision(loop.matmul_precision):
            trained, metrics = accumulate(train_step, state, vector_step, length)
        return freeze_diverged(state, trained, vector_step + length), metrics

    return Trainer(init, prefill, train, refill, warmup)


def accumulate(
    step: Callable[[Any, Array], tuple[Any, Metrics]], state: Any, start: Array, length: Any
) -> tuple[Any, Metrics]:
    """Runs `step(state, index)` for `length` indices from `start` on, adding up the metrics.

    Both bounds may be traced. That also keeps XLA from unrolling a loop of one update: it would then fuse the
    replay's write into the gather of the minibatch and copy the whole replay on every step.
    """
    step = jax.jit(step)  # for its trace cache: the two uses below trace it once
    shapes, form = jax.tree.flatten(jax.eval_shape(step, state, start)[1])
    totals = jnp.zeros(len(shapes))  # as one vector: one kernel a step for what would take as many as there are numbers

    def body(index, carry):
        state, metrics = step(carry[0], index)
        return state, carry[1] + jnp.array(jax.tree.leaves(metrics), jnp.float32)

    state, totals = jax.lax.fori_loop(start, start + length, body, (state, totals))
    return state, jax.tree.unflatten(form, list(totals))


def train(
    key: Key, env: Env, agent: Agent, loop: LoopConfig = LoopConfig(), *, steps: int, chunks: int = 20
) -> tuple[TrainState, dict[str, Array]]:
    """A whole run as one pure function of its key: `jax.jit(jax.vmap(lambda key: train(key, ...)))` trains many seeds.

    Args:
      key: the only randomness.
      env, agent, loop: what to train on, what learns, and how data flows.
      steps: environment steps, warm-up included, rounded up to whole vector steps.
      chunks: points of the learning curve; the reset pool is renewed at each.

    Raises:
      SettingError: a setting has a value that cannot be used, or `steps` leave nothing after the warm-up.

    Returns:
      The final state, and metrics [chunks]: the mean of each quantity over its chunk (NaN where nothing happened).
    """
    run = trainer(env, agent, loop)
    bounds = chunk_bounds(run.warmup, -(-steps // loop.num_envs), chunks)
    state = run.prefill(run.init(key))

    def chunk(state, bound):
        return run.train(state, bound[0], bound[1] - bound[0])

    state, totals = jax.lax.scan(chunk, state, jnp.stack([jnp.asarray(bounds[:-1]), jnp.asarray(bounds[1:])], axis=1))
    return state, means(totals)


def chunk_bounds(warmup: int, vector_steps: int, chunks: int) -> list[int]:
    """Clocks that part [warmup, vector_steps) into at most `chunks` pieces of nearly equal length.

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


def means(metrics: Metrics) -> dict[str, Array]:
    """(sum, count) pairs as means; NaN where the count is 0."""
    return {name: total / count for name, (total, count) in metrics.items()}
