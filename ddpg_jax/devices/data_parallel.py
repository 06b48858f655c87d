"""One agent on several devices: each has a share of the environments, of the replay and of every minibatch.

Parameters are the same on all of them, because each descends the mean of all their gradients.
"""

from dataclasses import replace
from typing import Any

import jax
from jax.sharding import PartitionSpec

from ddpg_jax.core.collectives import DATA
from ddpg_jax.core.loop import LoopConfig, trainer
from ddpg_jax.core.rng import fold_in_each
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Env, Trainer, TrainState

# Where the leaves [S, ...] of a training state lie: what grows with the environments is divided a second time.
SHARDED, REPLICATED = PartitionSpec("seeds", DATA), PartitionSpec("seeds")
_SPECS: Any = dict.fromkeys(("env", "noise", "memory"), SHARDED)
_SPECS |= dict.fromkeys(("keys", "learner", "nonfinite_at", "hyperparams"), REPLICATED)
STATE = TrainState(**_SPECS)


def per_device_loop(loop: LoopConfig, devices: int) -> LoopConfig:
    """What one of `devices` does of a loop.

    Raises:
      SettingError: environments or minibatch cannot be divided evenly.
    """
    for name in ("num_envs", "batch_size"):
        if getattr(loop, name) % devices:
            raise SettingError(
                f"{name} must be a multiple of the {devices} devices that share an agent, not {getattr(loop, name)}."
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
    """`trainer` as each of `devices` runs it inside a `shard_map` with the axis `DATA`; `loop` is that of all.

    Each device draws its own episodes, noise and minibatches; one update is that of all minibatches together.

    Raises:
      SettingError: the shares would not be equal.
    """
    if devices == 1:
        return trainer(env, agent, loop)
    mine = trainer(env, agent, per_device_loop(loop, devices))

    def alone(state):
        return replace(state, keys=fold_in_each(state.keys, jax.lax.axis_index(DATA)))

    def init(key):
        own = mine.init(jax.random.fold_in(key, jax.lax.axis_index(DATA)))
        common = mine.init(key)
        return replace(own, keys=common.keys, learner=common.learner)

    def prefill(state):
        return replace(mine.prefill(alone(state)), keys=state.keys)

    def refill(state, vector_step):
        return replace(mine.refill(alone(state), vector_step), keys=state.keys)

    def train(state, vector_step, length):
        trained, metrics = mine.train(alone(state), vector_step, length)
        return replace(trained, keys=state.keys), jax.lax.psum(metrics, DATA)

    return Trainer(init, prefill, train, refill, mine.warmup)
