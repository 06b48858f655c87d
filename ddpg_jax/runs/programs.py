"""The compiled functions of a run, over all of its seeds, and the layout of seeds over devices."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from ddpg_jax.core.diagnostics import diagnose
from ddpg_jax.core.episodes import Evaluation, play_episodes
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Env, TrainState
from ddpg_jax.devices.backend import QUICK
from ddpg_jax.devices.cpu_devices import cpu_options
from ddpg_jax.devices.cuda_graph import cuda_graph_options
from ddpg_jax.devices.data_parallel import STATE, data_parallel_trainer, per_device_loop
from ddpg_jax.devices.layout import (
    BY_SEED,
    Layout,
    choose_mapping,
    loop_over_seeds,
    shard_over_devices,
    split_devices,
    usable_devices,
    vmap_seeds,
)
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.named import name_algorithm

ONE_DEVICE = Layout()


class Programs(NamedTuple):
    """The compiled functions of a run, over seeds [S]; another value of a traced setting compiles nothing anew."""

    init: Callable[..., TrainState]  # ((keys [S], hyperparams {name: [S]}), config)
    prefill: Callable[..., TrainState]  # (state [S], config); the state is donated
    chunk: Callable[..., Any]  # (state [S], vector_step, length, config) -> state, metrics; the state is donated
    refill: Callable[..., TrainState]  # (state [S] without its memory, vector_step, config); the state is donated
    evaluate: Callable[..., Any]  # ((learner, keys, hyperparams) [S], vector_step, config) -> Evaluation, diagnostics
    minibatch: Callable[[Any], int]  # (config) -> transitions in a minibatch, of all devices of an agent

    def start(self, keys: jax.Array, config: Any, hyperparams: dict[str, jax.Array] | None = None) -> TrainState:
        """Returns the state of every seed after the warm-up; `hyperparams` [S] are settings that differ by seed."""
        return self.prefill(self.init((keys, hyperparams or {}), config), config)

    def shapes(self, keys: Any, config: Any, hyperparams: Any = None) -> TrainState:
        """Returns the shapes of what `start` makes, without compiling anything."""
        return jax.eval_shape(self.prefill, jax.eval_shape(self.init, (keys, hyperparams or {}), config), config)


def make_programs(env: Env, algorithm: Any, loop: LoopConfig, episodes: int, layout: Layout = ONE_DEVICE) -> Programs:
    """Returns the functions of a run of an algorithm, as for `name_algorithm`, under `jax.jit`, not compiled yet."""
    make = name_algorithm(algorithm).value.make

    def trainer(config, hyperparams):
        return data_parallel_trainer(env, make(replace(config, **hyperparams), env.spec), loop, layout.data_shards)

    def init(per_seed, config):
        key, hyperparams = per_seed
        return replace(trainer(config, hyperparams).init(key), hyperparams=hyperparams)

    def prefill(state, config):
        return trainer(config, state.hyperparams).prefill(state)

    def chunk(state, vector_step, length, config):
        return trainer(config, state.hyperparams).train(state, vector_step, length)

    def refill(state, vector_step, config):
        return trainer(config, state.hyperparams).refill(state, vector_step)

    def evaluate(per_seed, vector_step, config):
        learner, key, hyperparams = per_seed
        config = replace(config, **hyperparams)
        agent = make(config, env.spec)
        with jax.default_matmul_precision(loop.matmul_precision):
            played = play_episodes(key, env, lambda obs: agent.act(learner, obs), episodes, agent.discount)
            found = diagnose(agent, learner, played, vector_step, loop.num_envs // layout.data_shards)
        return Evaluation(played.returns, played.lengths), found

    def minibatch(config):
        agent, sizes = make(config, env.spec), (loop.num_envs, loop.replay_capacity, loop.batch_size, loop.n_step)
        memory = agent.memory(env.spec, *sizes, agent.discount)
        return jax.eval_shape(lambda key: memory.sample(memory.init(), 1, key), jax.random.key(0)).reward.size

    over_seeds = {"vmap": vmap_seeds, "sequential": loop_over_seeds}[layout.mapping]
    graph = cuda_graph_options(layout.first_device) if layout.cuda_graph else None
    options = (graph or {}) | cpu_options(layout)
    quick = QUICK.get(layout.first_device.platform, {}) | cpu_options(layout)
    jit = partial(jax.jit, compiler_options=options)
    return Programs(
        jax.jit(shard_over_devices(vmap_seeds(init), layout, outside=STATE), compiler_options=quick),
        jit(shard_over_devices(vmap_seeds(prefill), layout, STATE, STATE), donate_argnums=0),
        jit(shard_over_devices(over_seeds(chunk), layout, STATE, (STATE, BY_SEED)), donate_argnums=0),
        jit(shard_over_devices(vmap_seeds(refill), layout, STATE, STATE), donate_argnums=0),
        jit(shard_over_devices(vmap_seeds(evaluate), layout)),
        minibatch,
    )


def choose_layout(
    config: Any, loop: LoopConfig, run: RunConfig, env: Env, hardware: tuple[Any, ...] = (), backend: str | None = None
) -> Layout:
    """Returns how the seeds of a run are mapped, and over how many devices they and their data are sharded.

    Args:
      config, loop, run, env: the run.
      hardware, backend: the devices, where they are not those of this process.

    Raises:
      SettingError: there are not so many devices, or an agent's data cannot be sharded over them evenly.
    """
    available = len(hardware or jax.devices())
    seed_shards, data_shards = usable_devices(run.seeds, available), 1
    if run.devices is not None:
        if run.devices > available:
            raise SettingError(f"devices must be at most {available}, the number of devices here, not {run.devices}.")
        seed_shards, data_shards = split_devices(run.seeds, run.devices)
    if jax.process_count() > 1 and seed_shards * data_shards != available:
        raise SettingError(
            f"devices must be {available}, all devices of all processes, not {seed_shards * data_shards}: pass "
            "--devices, or a number of seeds that shards over them evenly; --no-distributed makes each process a run "
            "of its own."
        )
    hidden = getattr(config, "hidden", ())
    chosen = choose_mapping(run.seeds // seed_shards, loop.batch_size, hidden, env.spec.image, backend)
    per_device_loop(loop, data_shards)
    mapping = chosen if run.seed_mapping == "auto" else run.seed_mapping
    return Layout(mapping, seed_shards, data_shards, hardware, run.cuda_graph)


def seed_keys(run: RunConfig, layout: Layout = ONE_DEVICE, repeats: int = 1) -> jax.Array:
    """Returns the keys [S] of a run's seeds, sharded by the layout; a seed has the same key in every run.

    Args:
      repeats: how often all of them are repeated, one repetition after the other.
    """

    def keys():
        return jax.vmap(jax.random.key)(run.seed + jnp.tile(jnp.arange(run.seeds), repeats))

    return jax.jit(keys, out_shardings=NamedSharding(layout.mesh(), BY_SEED))() if layout.devices > 1 else keys()


def evaluation_keys(keys: jax.Array, vector_step: int) -> jax.Array:
    """Returns the keys [S] of the evaluation at a vector step, from the keys of the seeds.

    The step is folded in as a negative number, because `fold_in(key, i)` is `split(key)[i]`, which training has used.
    """
    return _fold_in(keys, np.int32(~vector_step))


def episode_keys(seed: int, seeds: int) -> jax.Array:
    """Returns the keys [S] of fresh episodes for the seeds of a finished run, from a number that the user chooses."""
    return jax.random.split(evaluation_keys(jax.random.key(seed)[None], 0)[0], seeds)


_fold_in = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(0, None)))
