"""The memory of a run, by the setting that takes it, from shapes alone: nothing is compiled or allocated.

States are counted to the byte. What a program needs beside them is XLA's to decide; of that only what no compiler can
avoid is counted, so that nothing is refused that would run.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import jax

from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import SettingError, shown
from ddpg_jax.core.types import Env, EnvState, Spec, TrainState
from ddpg_jax.devices.backend import memory_limit, nbytes
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.config import RunConfig

NUMBER, KEY = 4, 8  # bytes of a float32 or an int32, and of a random key
MANY = 100  # where so many seeds would fit, it is their number that is too large
SUMMARY = 4 * NUMBER + 1  # bytes that an episode is summed up in, beside two observations
KEPT = 3  # arrays of a layer's width, for each transition of a minibatch, that an update keeps for its gradients


class Share(NamedTuple):
    """Memory that one setting takes."""

    setting: str
    amount: str  # what the setting asks for, "1,000,000 transitions"
    bytes: int  # of all seeds


class Memory(NamedTuple):
    """Memory of a run: shares that are there all the time, and those of its phases, of which one runs at a time."""

    always: list[Share]
    phases: list[list[Share]]

    @property
    def shares(self) -> list[Share]:
        """The shares at the moment at which most memory is taken, one per setting, the largest first."""
        largest = max(self.phases, key=_total, default=[])
        sums: dict[tuple[str, str], int] = {}
        for name, amount, size in [*self.always, *largest]:
            sums[name, amount] = sums.get((name, amount), 0) + size
        return sorted((Share(*key, size) for key, size in sums.items()), key=lambda share: -share.bytes)

    @property
    def bytes(self) -> int:
        """The most memory that is taken at any moment."""
        return _total(self.always) + max(map(_total, self.phases), default=0)


def _total(shares: Iterable[Share]) -> int:
    return sum(share.bytes for share in shares)


def run_memory(
    state: TrainState, spec: Spec, config: Any, loop: LoopConfig, run: RunConfig, layout: Layout = Layout()
) -> Memory:
    """Returns the memory of a run.

    Args:
      state: the shapes of some seeds; that of every seed is the same.
      spec, config, loop, run: the environment and the settings.
      layout: how seeds are mapped; sequential ones are copied out, one per shard, to be trained.
    """
    named = _names(config, loop, run)
    training = run.seeds if layout.mapping == "vmap" else min(layout.seed_shards, run.seeds)
    copied = training if training < run.seeds else 0
    states = _states(state, layout.data_shards)
    widths = layer_widths(config, spec)
    update = _update(state, spec, loop, sum(widths), getattr(config, "atoms", 0))
    step, evaluation = _step(spec, loop, widths), _evaluation(state, spec, loop, run, widths)

    def shares(sizes: dict[str, int], seeds: int) -> list[Share]:
        return [Share(*named[name], size * seeds) for name, size in sizes.items()]

    # What keeps the learner as it was before the chunk, where a seed diverges, and the gradients
    twice = {"hidden": 2 * states["hidden"]}
    phases = [shares(twice, training) + shares(sizes, training) for sizes in (update, step, _refresh(states))]
    return Memory(shares(states, run.seeds + copied), [*phases, shares(evaluation, run.seeds)])


def _states(state: TrainState, data_shards: int) -> dict[str, int]:
    """Returns the bytes of the state of one seed; each device of an agent has its own learner."""
    members = state.nonfinite_at.shape[0]
    rest = (state.keys, replace(state.env, pool=None), state.noise, state.nonfinite_at, state.hyperparams)
    return {
        "replay_capacity": nbytes(state.memory) // members,
        "hidden": data_shards * nbytes(state.learner) // members,
        "pool_size": nbytes(state.env.pool) // members,
        "num_envs": nbytes(rest) // members,
    }


def _update(state: TrainState, spec: Spec, loop: LoopConfig, width: int, atoms: int) -> dict[str, int]:
    """Returns the bytes of an update of one seed, with networks of `width` features in all of their layers."""
    stored = nbytes(state.memory) // state.nonfinite_at.shape[0] // transition_bytes(spec)
    if stored < loop.replay_capacity:  # the two rows of an on-policy memory, of which an update sees one
        stored //= 2
    batch = min(loop.batch_size, stored)
    return {
        "batch_size": batch * (transition_bytes(spec) + KEPT * NUMBER * width),
        "n_step": batch * (2 * NUMBER * loop.n_step if loop.n_step > 1 else 0),
        "atoms": batch * KEPT * NUMBER * atoms,
    }


def _step(spec: Spec, loop: LoopConfig, widths: list[int]) -> dict[str, int]:
    """Returns the bytes of a step of the environments of one seed."""
    return {"num_envs": loop.num_envs * _activations(widths), "action_repeat": loop.num_envs * _repeat_keys(spec)}


def _refresh(states: dict[str, int]) -> dict[str, int]:
    """Returns the bytes of the new pool of one seed, while the old one is there."""
    return {"pool_size": states["pool_size"]}


def _evaluation(state: TrainState, spec: Spec, loop: LoopConfig, run: RunConfig, widths: list[int]) -> dict[str, int]:
    """Returns the bytes of an evaluation of one seed."""
    environment = nbytes(state.env.env) // (state.nonfinite_at.shape[0] * loop.num_envs)
    episode = environment + SUMMARY + 2 * obs_bytes(spec) + _activations(widths)
    return {"eval_episodes": run.eval_episodes * episode, "action_repeat": run.eval_episodes * _repeat_keys(spec)}


def _activations(widths: list[int]) -> int:
    """Returns the bytes of what the widest layer reads and writes for one observation."""
    return NUMBER * max([0, *widths, *map(sum, itertools.pairwise(widths))])


def _repeat_keys(spec: Spec) -> int:
    """Returns the bytes of the keys with which one environment repeats an action."""
    return KEY * spec.action_repeat if spec.action_repeat > 1 else 0


def _names(config: Any, loop: LoopConfig, run: RunConfig) -> dict[str, tuple[str, str]]:
    """Returns the settings that take memory: name -> the name, and its value in words."""
    hidden, atoms = getattr(config, "hidden", ()), getattr(config, "atoms", 0)
    words = {
        "hidden": f"networks of the widths {shown(hidden)}",
        "batch_size": f"minibatches of {loop.batch_size:,} transitions",
        "replay_capacity": f"{loop.replay_capacity:,} transitions",
        "num_envs": f"{loop.num_envs:,} environments",
        "pool_size": f"{loop.pool_size:,} initial states",
        "n_step": f"returns over {loop.n_step:,} steps",
        "atoms": f"{atoms:,} atoms",
        "eval_episodes": f"{run.eval_episodes:,} episodes",
        "action_repeat": f"{run.action_repeat or 1:,} steps per action",
    }
    named = {name: (name, value) for name, value in words.items()}
    if loop.num_envs > loop.replay_capacity:  # the replay has one row, which all of them fill
        named["replay_capacity"] = named["num_envs"]
    if atoms > max(hidden, default=0):  # the largest layer of the networks
        named["hidden"] = named["atoms"]
    if loop.reset_mode != "pool":
        named["pool_size"] = named["num_envs"]
    return named


def layer_widths(config: Any, spec: Spec) -> list[int]:
    """Returns the numbers of features of the hidden layers, those of the convolutions for images included."""
    widths, (height, width) = [], spec.obs_shape[:2] if spec.image else (0, 0)
    for _ in range(3 if spec.image else 0):
        height, width = (height - 3) // 2 + 1, (width - 3) // 2 + 1
        widths.append(height * width * 32)
    return widths + list(getattr(config, "hidden", ()))


def obs_bytes(spec: Spec) -> int:
    """Returns the bytes of an observation."""
    return nbytes(jax.ShapeDtypeStruct(spec.obs_shape, spec.obs_dtype))


def transition_bytes(spec: Spec) -> int:
    """Returns the bytes of a transition in a minibatch."""
    return 2 * obs_bytes(spec) + NUMBER * (spec.action_size + 2) + 1


def check_fits(memory: Memory, seeds: int, devices: int = 1) -> None:
    """Checks that a run fits in the memory of its devices.

    Raises:
      SettingError: it does not; the message names the setting that takes most.
    """
    limit = memory_limit(devices)
    if memory.bytes <= limit:
        return
    name, amount, size = memory.shares[0]
    taken, total, available = (f"{number / 2**30:,.2f} GiB" for number in (size, memory.bytes, limit))
    if seeds > MANY and memory.bytes // seeds * MANY <= limit:
        raise SettingError(
            f"seeds must fit in memory: {seeds:,} seeds take {total}, most of it for {name} ({amount}), and there are "
            f"{available}."
        )
    raise SettingError(
        f"{name} must fit in memory: {amount} for {seeds:,} seed{'s' * (seeds != 1)} take {taken} of {total} in all, "
        f"and there are {available}."
    )


def check_episodes(
    env: Env,
    config: Any,
    episodes: int,
    seeds: int = 1,
    steps: int = 0,
    select: Callable[[EnvState], Any] = lambda state: (),
) -> None:
    """Checks that so many episodes in parallel fit in memory.

    Args:
      env, config: the environment and the algorithm's settings.
      episodes: per seed.
      seeds: how many play at the same time.
      steps: how many steps of an episode are kept; 0: episodes are only summed up.
      select: what is kept of a state.

    Raises:
      SettingError: they do not fit.
    """
    state: EnvState = jax.eval_shape(env.reset, jax.random.key(0))
    widths = layer_widths(config, env.spec)
    one = SUMMARY + 2 * obs_bytes(env.spec) + NUMBER * max([0, *widths])
    kept = nbytes(jax.eval_shape(select, state)) + 2 * NUMBER
    size = episodes * seeds * (one + nbytes(state) + steps * kept)
    check_fits(Memory([Share("episodes", f"{episodes:,} whole episodes", size)], []), seeds)
