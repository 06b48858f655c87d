"""Data parallel training: the environments, the replay and every minibatch of one agent sharded over devices.

Parameters are equal on all of them, since every device applies the mean of all gradients.
"""

from dataclasses import replace
from typing import Any

import jax
from jax.sharding import PartitionSpec

from ddpg_jax.core.collectives import DATA
from ddpg_jax.core.loop import KEYS, LoopConfig, trainer
from ddpg_jax.core.rng import fold_in_each
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Env, Trainer, TrainState

# How the leaves [S, ...] of a `TrainState` are sharded: all by seed, and those of environments and replay over the
# devices of an agent, too.
SHARDED, REPLICATED = PartitionSpec("seeds", DATA), PartitionSpec("seeds")
_SPECS: Any = dict.fromkeys(("env", "noise", "memory"), SHARDED)
_SPECS |= dict.fromkeys(("keys", "learner", "nonfinite_at", "hyperparams"), REPLICATED)
STATE = TrainState(**_SPECS)


def per_device_loop(loop: LoopConfig, devices: int) -> LoopConfig:
    """Returns the loop settings of each device of a data parallel agent.

    Raises:
      SettingError: the environments or the minibatch cannot be divided evenly.
    """
    for name in ("num_envs", "batch_size"):
        value = getattr(loop, name)
        if value % devices:
            raise SettingError(
                f"{name} must be a multiple of {devices}, the number of devices of a data parallel agent, not {value}."
            )
    num_envs = loop.num_envs // devices
    rows, warmup = (-(-number // loop.num_envs) for number in (loop.replay_capacity, loop.warmup_steps))
    return replace(
        loop,
        num_envs=num_envs,
        batch_size=loop.batch_size // devices,
        replay_capacity=rows * num_envs,
        warmup_steps=warmup * num_envs,
    )


def data_parallel_trainer(env: Env, agent: Agent, loop: LoopConfig, devices: int) -> Trainer:
    """Returns the `trainer` that each device of a data parallel agent runs, inside a `shard_map` with the axis `DATA`.

    Each device draws its own episodes, noise and minibatches; an update applies the mean gradient of all minibatches.

    Args:
      env, agent: as for `trainer`.
      loop: settings of the agent as a whole.
      devices: number of devices of the agent.

    Raises:
      SettingError: the environments or the minibatch cannot be divided evenly.
    """
    if devices == 1:
        return trainer(env, agent, loop)
    shard = trainer(env, agent, per_device_loop(loop, devices))

    def with_own_keys(state):
        return replace(state, keys=fold_in_each(state.keys, jax.lax.axis_index(DATA)))

    def init(key):
        # Beyond those into which a run splits its key, since `fold_in(key, i)` is `split(key)[i]`.
        own = shard.init(jax.random.fold_in(key, KEYS + jax.lax.axis_index(DATA)))
        common = shard.init(key)
        return replace(own, keys=common.keys, learner=common.learner)

    def prefill(state):
        return replace(shard.prefill(with_own_keys(state)), keys=state.keys)

    def refill(state, vector_step):
        return replace(shard.refill(with_own_keys(state), vector_step), keys=state.keys)

    def train(state, vector_step, length):
        trained, metrics = shard.train(with_own_keys(state), vector_step, length)
        return replace(trained, keys=state.keys), jax.lax.psum(metrics, DATA)

    return Trainer(init, prefill, train, refill, shard.warmup)
