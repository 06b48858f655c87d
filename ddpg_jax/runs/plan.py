"""A run before it runs: its settings, its phases as functions of all seeds, and what they will take."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from ddpg_jax.runs.registry import algorithms
from ddpg_jax.devices.backend import QUICK, memory_limit, nbytes
from ddpg_jax.core.diagnostics import diagnostics
from ddpg_jax.core.episodes import Evaluation, play
from ddpg_jax.devices.data_parallel import STATE, per_device_loop, data_parallel_trainer
from ddpg_jax.devices.layout import BY_SEED, Layout, choose, split_devices, loop_over_seeds, usable_devices, vmap_seeds, shard_over_devices
from ddpg_jax.core.settings import INT32, SettingError, setting, configclass
from ddpg_jax.core.loop import LoopConfig, chunk_bounds
from ddpg_jax.core.types import Env, TrainState

ALONE = Layout()


@configclass
class RunConfig:
    """What to train on, how long, and where the results go."""

    env: str = setting(default="Pendulum-v1", help="environment id, as `ddpg-jax envs` lists them")
    out: Path | None = setting(default=None, help="run folder to make; by default runs/ALGORITHM-ENV")
    overwrite: bool = setting(default=False, help="replace the run that `out` holds")
    steps: int = setting(default=100_000, help="environment steps per seed, warm-up included", low=1)
    seeds: int = setting(default=1, help="independent agents, trained side by side", low=1)
    seed: int = setting(default=0, help="the first seed; the others follow it", low=0)
    seed_mapping: Literal["auto", "vmap", "sequential"] = setting(
        default="auto", help="seeds of one device side by side or in turn; auto: whichever is faster there"
    )
    devices: int | None = setting(
        default=None,
        help="devices to use: seeds are dealt to them, and where there are more of them, several share an agent's "
        "environments, replay and minibatch; by default as many as the seeds can be dealt to",
        low=1,
    )
    checkpoint_seconds: float | None = setting(
        default=300.0, help="time after which the end of a chunk is a checkpoint; none: only the end of the run", low=0
    )
    checkpoint_steps: int | None = setting(
        default=None, help="environment steps per seed after which it is one, too; none: by time alone", low=1
    )
    checkpoint_replay: bool = setting(
        default=True, help="keep the replay in checkpoints; without it, a run that goes on fills a new one first"
    )
    keep_checkpoints: int = setting(default=2, help="newest checkpoints to keep, beside the best", low=1)
    halt_on_nan: bool = setting(
        default=False, help="end the run when a seed diverges; by default that seed is frozen and the others go on"
    )
    tensorboard: bool = setting(default=True, help="write TensorBoard's event files, too")
    wandb: str | None = setting(default=None, help="project of Weights & Biases to log to, a run per seed")
    evaluations: int = setting(default=20, help="chunks of the run; after each one the policy is evaluated", low=1)
    eval_episodes: int = setting(default=32, help="whole episodes per evaluation and seed", low=1)
    episode_length: int | None = setting(
        default=None, help="time limit in the environment's own steps; by default its own"
    )
    action_repeat: int | None = setting(default=None, help="the environment's own steps per action; by default its own")
    backend: Literal["mjx", "spring", "positional", "generalized"] | None = setting(
        default=None, help="Brax's physics; by default the task's own"
    )
    impl: Literal["jax", "warp"] | None = setting(default=None, help="Playground's physics; by default jax")

    @property
    def folder(self) -> Path:
        """`out`, once it is settled."""
        assert self.out is not None
        return self.out


class Plan(NamedTuple):
    """What a run will do, known before anything is compiled."""

    bounds: list[int]  # vector_steps of the chunks' borders
    num_envs: int
    updates_per_step: int
    replay_bytes: int  # of all seeds
    state_bytes: int  # of all seeds, replay included
    peak_bytes: int  # with the states that are being trained beside those of all

    def steps(self, vector_step: int) -> int:
        """Environment steps per seed at a vector_step."""
        return vector_step * self.num_envs

    def updates(self, vector_step: int) -> int:
        """Gradient updates per seed at a vector_step."""
        return (vector_step - self.bounds[0]) * self.updates_per_step

    def describe(self) -> str:
        """One line for a person."""
        last = self.bounds[-1]
        ratio = self.updates_per_step / self.num_envs
        return (
            f"per seed {self.steps(last):,} environment steps, {self.steps(self.bounds[0]):,} of them warm-up, and "
            f"{self.updates(last):,} updates ({ratio:.3g} per environment step); "
            f"replay {self.replay_bytes / 2**20:,.1f} MiB of {self.peak_bytes / 2**20:,.1f} MiB for all seeds"
        )


class Programs(NamedTuple):
    """The compiled phases, over seeds; a changed float of the configuration compiles nothing anew."""

    init: Callable[..., TrainState]  # ((keys [S], hyperparams {name: [S]}), config)
    prefill: Callable[..., TrainState]  # (state [S], config); the state is donated
    chunk: Callable[..., Any]  # (state [S], vector_step, length, config) -> state, metrics; the state is donated
    refill: Callable[..., TrainState]  # (state [S] without memory, vector_step, config); the state is donated
    test: Callable[..., Any]  # ((learner, keys, hyperparams) [S], vector_step, config) -> Evaluation [S, E], diagnostics [S]

    def start(self, keys: jax.Array, config: Any, hyperparams: dict[str, jax.Array] | None = None) -> TrainState:
        """The state of every seed, ready to learn; `hyperparams` [S] are settings that differ from seed to seed."""
        return self.prefill(self.init((keys, hyperparams or {}), config), config)

    def shapes(self, keys: Any, config: Any) -> TrainState:
        """The shapes of what `start` makes, worked out without compiling."""
        return jax.eval_shape(self.prefill, jax.eval_shape(self.init, (keys, {}), config), config)


def programs(env: Env, algorithm: str, loop: LoopConfig, episodes: int, layout: Layout = ALONE) -> Programs:
    """The phases of a run of this algorithm as jitted functions, not compiled yet."""
    make = algorithms()[algorithm].make

    def of(config, hyperparams):
        return data_parallel_trainer(env, make(replace(config, **hyperparams), env.spec), loop, layout.data_shards)

    def init(mine, config):
        key, hyperparams = mine
        return replace(of(config, hyperparams).init(key), hyperparams=hyperparams)

    def prefill(state, config):
        return of(config, state.hyperparams).prefill(state)

    def chunk(state, vector_step, length, config):
        return of(config, state.hyperparams).train(state, vector_step, length)

    def refill(state, vector_step, config):
        return of(config, state.hyperparams).refill(state, vector_step)

    def test(mine, vector_step, config):
        learner, key, hyperparams = mine
        config = replace(config, **hyperparams)
        agent, scale = make(config, env.spec), getattr(config, "reward_scale", 1.0)
        with jax.default_matmul_precision(loop.matmul_precision):
            played = play(key, env, lambda obs: agent.act(learner, obs), episodes, agent.discount)
            found = diagnostics(agent, learner, played, vector_step, loop.num_envs, scale)
        return Evaluation(played.returns, played.lengths), found

    over = {"vmap": vmap_seeds, "sequential": loop_over_seeds}[layout.mapping]
    return Programs(
        jax.jit(shard_over_devices(vmap_seeds(init), layout, outside=STATE), compiler_options=QUICK.get(jax.default_backend())),
        jax.jit(shard_over_devices(vmap_seeds(prefill), layout, STATE, STATE), donate_argnums=0),
        jax.jit(shard_over_devices(over(chunk), layout, STATE, (STATE, BY_SEED)), donate_argnums=0),
        jax.jit(shard_over_devices(vmap_seeds(refill), layout, STATE, STATE), donate_argnums=0),
        jax.jit(shard_over_devices(vmap_seeds(test), layout)),
    )


def placement(config: Any, loop: LoopConfig, run: RunConfig, env: Env) -> Layout:
    """How the seeds of a run are mapped, and over how many devices.

    Raises:
      SettingError: there are not so many devices, or an agent's data cannot be divided over them.
    """
    groups, sharing = usable_devices(run.seeds, len(jax.devices())), 1
    if run.devices is not None:
        if run.devices > len(jax.devices()):
            raise SettingError(f"devices must be at most the {len(jax.devices())} that there are, not {run.devices}.")
        groups, sharing = split_devices(run.seeds, run.devices)
    if jax.process_count() > 1 and groups * sharing != len(jax.devices()):
        raise SettingError(
            f"devices must be all {len(jax.devices())} of all processes, not {groups * sharing}: give --devices, or as "
            "many seeds as can be dealt to them."
        )
    chosen = choose(run.seeds // groups, loop.batch_size, getattr(config, "hidden", ()), env.spec.image)
    per_device_loop(loop, sharing)
    return Layout(chosen if run.seed_mapping == "auto" else run.seed_mapping, groups, sharing)


def make_plan(
    env: Env, phases: Programs, config: Any, loop: LoopConfig, run: RunConfig, layout: Layout = ALONE
) -> Plan:
    """Works out a run without compiling or allocating anything.

    Raises:
      SettingError: it cannot work: nothing left to learn from, or more memory needed than there is.
    """
    warmup, last = -(-loop.warmup_steps // loop.num_envs), -(-run.steps // loop.num_envs)
    bounds = chunk_bounds(warmup, last, run.evaluations)
    if run.seed + run.seeds - 1 > INT32:
        raise SettingError(f"seed and seeds must stay below 2**31 together, not {run.seed} and {run.seeds}.")
    stored = min(warmup * loop.num_envs, -(-loop.replay_capacity // loop.num_envs) * loop.num_envs)
    if loop.batch_size > stored:
        raise SettingError(
            f"batch_size must be at most the {stored:,} transitions that the warm-up stores (warmup_steps, "
            f"replay_capacity), not {loop.batch_size:,}."
        )
    state = phases.shapes(jax.eval_shape(lambda: seed_keys(run)), config)
    replay_bytes, state_bytes, limit = nbytes(state.memory), nbytes(state), memory_limit(layout.devices)
    peak = peak_bytes(state_bytes, run.seeds, layout)
    if peak > limit:
        replay, total, most = (f"{size / 2**30:,.2f} GiB" for size in (replay_bytes, peak, limit))
        raise SettingError(
            f"replay_capacity must fit the device: {loop.replay_capacity:,} transitions for {run.seeds} seed(s) take "
            f"{replay} of {total} in all, and there are {most}."
        )
    return Plan(bounds, loop.num_envs, loop.updates_per_step, replay_bytes, state_bytes, peak)


def peak_bytes(state_bytes: int, seeds: int, layout: Layout) -> int:
    """What training takes at most: where seeds take turns, each group of devices copies one out to train it."""
    loop_over_seeds = layout.mapping == "sequential" and seeds > layout.seed_shards
    return state_bytes + (state_bytes * layout.seed_shards // seeds if loop_over_seeds else 0)


def seed_keys(run: RunConfig, layout: Layout = ALONE, times: int = 1) -> jax.Array:
    """[S] the keys of the run's seeds, dealt as the layout says: seed i has the same key in every run.

    Args:
      times: how often all of them are repeated, one after the other.
    """

    def keys():
        return jax.vmap(jax.random.key)(run.seed + jnp.tile(jnp.arange(run.seeds), times))

    return jax.jit(keys, out_shardings=NamedSharding(layout.mesh(), BY_SEED))() if layout.devices > 1 else keys()


def evaluation_keys(keys: jax.Array, vector_step: int) -> jax.Array:
    """[S] keys for the evaluation at a vector_step, from the keys of the seeds.

    Folded in as a negative number: `fold_in(key, i)` is `split(key)[i]`, which training has used.
    """
    return _fold_in(keys, np.int32(~vector_step))


def episode_keys(seed: int, seeds: int) -> jax.Array:
    """[S] keys of fresh episodes for the seeds of a finished run, by the number that a user gives for their starts."""
    return jax.random.split(evaluation_keys(jax.random.key(seed)[None], 0)[0], seeds)


_fold_in = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(0, None)))


def options_of(run: RunConfig) -> dict[str, Any]:
    """The settings of a run that are options of its environment."""
    return {name: getattr(run, name) for name in ("episode_length", "action_repeat", "backend", "impl")}
