"""One agent on several devices: each has a share of the environments, of the replay and of every minibatch.

Parameters are the same on all of them, because each descends the mean of all their gradients.
"""

from dataclasses import replace
from typing import Any

import jax
from jax.sharding import PartitionSpec

from ddpg_jax.settings import SettingError
from ddpg_jax.train import LoopConfig, trainer
from ddpg_jax.types import Agent, Env, Trainer, TrainState

DATA = "data"  # the mesh axis over which an agent's data are divided
# Where the leaves [S, ...] of a training state lie: what grows with the environments is divided a second time.
MINE, SHARED = PartitionSpec("seeds", DATA), PartitionSpec("seeds")
STATE: Any = TrainState(key=SHARED, env=MINE, noise=MINE, learner=SHARED, memory=MINE, numbers=SHARED)  # type: ignore[arg-type]


def portion(loop: LoopConfig, devices: int) -> LoopConfig:
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


def shared_trainer(env: Env, agent: Agent, loop: LoopConfig, devices: int) -> Trainer:
    """`trainer` as each of `devices` runs it inside a `shard_map` with the axis `DATA`; `loop` is that of all.

    Each device draws its own episodes, noise and minibatches; one update is that of all minibatches together. What
    sees only a device's own share: batch norm, and the spread of noise over environments, which each device spans.

    Raises:
      SettingError: the shares would not be equal, or the agent was not made by `make_agent`.
    """
    if devices == 1:
        return trainer(env, agent, loop)
    if agent.across is None:
        raise SettingError("devices must not share an agent that cannot say how: make it by make_agent.")
    mine = trainer(env, agent.across(DATA), portion(loop, devices))

    def alone(state):
        return replace(state, key=jax.random.fold_in(state.key, jax.lax.axis_index(DATA)))

    def init(key):
        own = mine.init(jax.random.fold_in(key, jax.lax.axis_index(DATA)))
        return replace(own, key=key, learner=mine.init(key).learner)

    def prefill(state):
        return replace(mine.prefill(alone(state)), key=state.key)

    def train(state, clock, length):
        trained, metrics = mine.train(alone(state), clock, length)
        return replace(trained, key=state.key), jax.lax.psum(metrics, DATA)

    return Trainer(init, prefill, train, mine.warmup)
