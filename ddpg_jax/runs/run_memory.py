"""The memory of a run, by the setting that takes it, from shapes alone: nothing is compiled or allocated.

States are counted to the byte. What a program needs beside them is XLA's to decide. It is estimated from what takes
most, with factors from programs that XLA has compiled for CPU, H100 and TPU v5e (benchmarks/results/plan.json).
"""

import itertools
from dataclasses import replace
from typing import Any

import jax

from ddpg_jax.algorithms.tqc import TQCConfig
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.settings import shown
from ddpg_jax.core.types import Spec, TrainState
from ddpg_jax.devices.backend import nbytes
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.memory import NUMBER, SUMMARY, Memory, Share, layer_widths, obs_bytes, patches, transition_bytes

KEY = 8  # bytes of a random key
KEPT = 3  # arrays of a layer's width, for each transition of a minibatch, that an update keeps for its gradients
PATCHES = 2  # arrays of all patches of its images, likewise
# Platform -> how many copies of the learners there are while they train: what they were before the chunk, and, but for
# GPUs, where it is written back in place, what they become if a seed has diverged.
COPIES = {"gpu": 1}
SCRATCH = {"gpu": 2**21}  # parts of products, which a GPU computes apart and adds up
PAIRS = {"cpu": 4}  # arrays of all pairs of a quantile and a sample of the target, which a CPU keeps in an update
FAST = {"tpu": 2**22}  # bytes of an update that stay in the fast memory of a core


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
    platform = layout.first_device.platform
    networks = (1 + _members(state)) / 2  # actor and critics relative to one of each
    kept = int(networks * (KEPT * sum(widths) + PATCHES * patches(spec)))
    update = _update(state, spec, loop, kept, _outputs(config, PAIRS.get(platform, 0)))
    if platform == "tpu":
        update["replay_capacity"] = _lines(state, loop)
        if sum(update.values()) * training < FAST[platform]:
            update = {}
    step, evaluation = _step(config, spec, loop, widths), _evaluation(state, spec, loop, run, widths)

    def shares(sizes: dict[str, int], seeds: int) -> list[Share]:
        return [Share(*named[name], size * seeds) for name, size in sizes.items()]

    copies = [
        *shares({"hidden": COPIES.get(platform, 2) * states["hidden"]}, training),
        Share(*named["hidden"], int(networks * SCRATCH.get(platform, 0))),
    ]
    phases = [copies + shares(sizes, training) for sizes in (update, step, _refresh(states))]
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


def _outputs(config: Any, copies: int) -> dict[str, int]:
    """Returns how many numbers the critics' outputs are in an update of one transition, by the setting of their number.

    The loss of quantile regression pairs each quantile with each sample of the target; `copies` is of these pairs.
    """
    critics, quantiles, dropped = _mixture(config)
    all_quantiles, samples = critics * quantiles, critics * (quantiles - dropped)
    return {
        "atoms": KEPT * getattr(config, "atoms", 0),
        "quantiles": KEPT * all_quantiles + copies * all_quantiles * samples,
    }


def _mixture(config: Any) -> tuple[int, int, int]:
    """Returns the numbers of critics, of quantiles of each and of those dropped of each; zeros but for TQC."""
    return (config.critics, config.quantiles, config.dropped) if isinstance(config, TQCConfig) else (0, 0, 0)


def _update(state: TrainState, spec: Spec, loop: LoopConfig, numbers: int, outputs: dict[str, int]) -> dict[str, int]:
    """Returns the bytes of an update of one seed, whose networks keep so many numbers for each transition.

    Args:
      state, spec, loop: as for `run_memory`.
      numbers: of the hidden layers.
      outputs: of the outputs of the critics, by the setting of their number.
    """
    stored = nbytes(state.memory) // state.nonfinite_at.shape[0] // transition_bytes(spec)
    if stored < loop.replay_capacity:  # the two rows of an on-policy memory, of which an update sees one
        stored //= 2
    batch = min(loop.batch_size, stored)
    return {
        "batch_size": batch * (transition_bytes(spec) + NUMBER * numbers),
        "n_step": batch * (2 * NUMBER * loop.n_step if loop.n_step > 1 else 0),
        **{name: batch * NUMBER * count for name, count in outputs.items()},
    }


def _members(state: TrainState) -> int:
    """Returns of how many members ensembles are; 1 where there is none."""
    kernels = [leaf for leaf in jax.tree.leaves(state.learner.params) if leaf.ndim == 4]  # [S, E, inputs, outputs]
    return kernels[0].shape[1] if kernels else 1


def _lines(state: TrainState, loop: LoopConfig) -> int:
    """Returns the bytes of the lines of a TPU in which a minibatch of one seed is, before and after it is cut out."""
    widths = [leaf.shape[-1] * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.memory) if leaf.ndim > 2]
    return 2 * loop.batch_size * sum(widths)


def _step(config: Any, spec: Spec, loop: LoopConfig, widths: list[int]) -> dict[str, int]:
    """Returns the bytes of a step of the environments of one seed."""
    normalized = getattr(config, "norm", "none") == "layer"  # XLA then writes a layer where the one before it was
    activations = NUMBER * max(widths, default=0) if normalized else _activations(widths)
    return {"num_envs": loop.num_envs * activations, "action_repeat": loop.num_envs * _repeat_keys(spec)}


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
    critics, quantiles, _ = _mixture(config)
    words = {
        "hidden": f"networks of the widths {shown(hidden)}",
        "batch_size": f"minibatches of {loop.batch_size:,} transitions",
        "replay_capacity": f"{loop.replay_capacity:,} transitions",
        "num_envs": f"{loop.num_envs:,} environments",
        "pool_size": f"{loop.pool_size:,} initial states",
        "n_step": f"returns over {loop.n_step:,} steps",
        "atoms": f"{atoms:,} atoms",
        "quantiles": f"{quantiles:,} quantiles of {critics:,} critics",
        "eval_episodes": f"{run.eval_episodes:,} episodes",
        "action_repeat": f"{run.action_repeat or 1:,} steps per action",
    }
    named = {name: (name, value) for name, value in words.items()}
    if loop.num_envs > loop.replay_capacity:  # the replay has one row, which all of them fill
        named["replay_capacity"] = named["num_envs"]
    if max(atoms, quantiles) > max(hidden, default=0):  # the largest layer of the networks
        named["hidden"] = named["atoms" if atoms else "quantiles"]
    if loop.reset_mode != "pool":
        named["pool_size"] = named["num_envs"]
    return named
