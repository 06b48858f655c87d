"""The programs of a run, compiled for accelerators that are not here."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from ddpg_jax.core.loop import LoopConfig, chunk_bounds, fitted_replay
from ddpg_jax.core.settings import plain
from ddpg_jax.devices.data_parallel import STATE
from ddpg_jax.devices.layout import BY_SEED, Layout, shardings
from ddpg_jax.devices.targets import Compiled, Target, TooLarge, compile_for, find_target
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.named import name_algorithm, name_env, open_env
from ddpg_jax.runs.plan import check_pairs
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys
from ddpg_jax.runs.run_memory import run_memory

PROGRAMS = ("init", "prefill", "refill", "chunk", "evaluate")


class Compilation(NamedTuple):
    """The programs of a run on a target, as XLA has compiled them."""

    target: Target
    layout: Layout
    programs: dict[str, Compiled]
    too_large: dict[str, str]  # program that XLA does not compile for want of memory -> its reason
    planned_bytes: int  # the plan's figure, of one device
    chunk_steps: int  # vector steps of the first chunk

    @property
    def peak_bytes(self) -> int:
        """The most memory of one device that any of the programs takes."""
        return max((program.peak_bytes for program in self.programs.values()), default=0)

    @property
    def chunk_launches(self) -> int | None:
        """Kernels and copies of a chunk, if every one that is in the program is launched; None on TPU."""
        chunk = self.programs.get("chunk")
        if chunk is None or chunk.launches is None or chunk.around is None:
            return None
        return chunk.around + self.chunk_steps * chunk.launches

    @property
    def fits(self) -> bool:
        """Whether every program fits in the memory of a device."""
        return not self.too_large and self.peak_bytes <= self.target.memory


def compile_run(
    algorithm: Any,
    config: Any,
    loop: LoopConfig,
    run: RunConfig,
    target: str,
    programs: tuple[str, ...] = PROGRAMS,
    log: Callable[[str], None] | None = None,
) -> Compilation:
    """Compiles the programs of a run for accelerators that are not here, and runs nothing.

    To be called in a process that has not used JAX yet, after `ddpg_jax.devices.targets.prepare_targets`.

    Args:
      algorithm: as for `run_experiment`.
      config, loop, run: the settings.
      target: the name of the accelerators, as for `find_target`.
      programs: which of `PROGRAMS`.
      log: called with a sentence before each compilation.

    Raises:
      SettingError: a setting cannot be used, or there is no such target.
    """
    config, loop, run = plain(config), plain(loop), plain(run)
    check_pairs(config, loop)
    loop = fitted_replay(loop, run.steps)
    named, found, env = name_algorithm(algorithm), find_target(target), open_env(name_env(run.env), run)
    layout = choose_layout(config, loop, run, env, found.devices, found.platform)
    functions = make_programs(env, named, loop, run.eval_episodes, layout)
    keys = jax.eval_shape(lambda: seed_keys(run))
    bounds = chunk_bounds(-(-loop.warmup_steps // loop.num_envs), -(-run.steps // loop.num_envs), run.evaluations)
    state = functions.shapes(keys, config)

    arguments = _arguments(state, keys, config, layout)
    compiled, too_large = {}, {}
    for name in programs:
        if log:
            log(f"compiling {name} for {target}")
        try:
            compiled[name] = compile_for(found, getattr(functions, name), *arguments[name])
        except TooLarge as error:
            too_large[name] = str(error)
    planned = run_memory(state, env.spec, config, loop, run, layout).bytes // layout.devices
    return Compilation(found, layout, compiled, too_large, planned, bounds[1] - bounds[0])


def _arguments(state: Any, keys: Any, config: Any, layout: Layout) -> dict[str, tuple[Any, ...]]:
    """Returns the arguments of each program as shapes, sharded over the devices of the target."""

    def placed(tree: Any, specs: Any) -> Any:
        def one(leaf, sharding):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

        return jax.tree.map(one, tree, shardings(tree, layout, specs))

    number = jax.ShapeDtypeStruct((), jnp.int32, sharding=NamedSharding(layout.mesh(), PartitionSpec()))
    whole, placed_keys = placed(state, STATE), placed(keys, BY_SEED)
    learner = placed(state.learner, BY_SEED)
    return {
        "init": ((placed_keys, {}), config),
        "prefill": (whole, config),
        "refill": (replace(whole, memory=()), number, config),
        "chunk": (whole, number, number, config),
        "evaluate": ((learner, placed_keys, {}), number, config),
    }
