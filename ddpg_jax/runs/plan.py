"""A run, planned before anything is compiled: its chunks, its memory, its functions."""

import dataclasses
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ddpg_jax.core.exploration import NoiseConfig
from ddpg_jax.core.learning import TargetConfig
from ddpg_jax.core.loop import LoopConfig, chunk_bounds, fitted_replay
from ddpg_jax.core.networks import NetworkConfig
from ddpg_jax.core.settings import INT32, SettingError, plain, shown
from ddpg_jax.core.types import Env, Spec
from ddpg_jax.devices.backend import nbytes
from ddpg_jax.devices.layout import Layout
from ddpg_jax.envs.references import label
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.memory import check_fits
from ddpg_jax.runs.named import Named, name_algorithm, name_env, open_env
from ddpg_jax.runs.own_code import NONE, Codes, codes_of
from ddpg_jax.runs.paths import check_run_folder
from ddpg_jax.runs.programs import ONE_DEVICE, Programs, choose_layout, make_programs, seed_keys
from ddpg_jax.runs.run_folder import config_dict
from ddpg_jax.runs.run_memory import run_memory

# Below so many updates a run has hardly begun to learn: the target networks need 1/tau of them, 200 by default, to
# follow once, and each pass of the Bellman equation waits for them.
FEW_UPDATES = 1_000
# A setting that has an effect only where another one has this value; None: where it has any.
USED_WITH = (
    ("noise_steps", "noise_final", None),
    ("noise_theta", "noise", "ou"),
    ("noise_epsilon", "noise", "epsilon-uniform"),
    ("target_period", "target_update", "periodic"),
    ("pool_size", "reset_mode", "pool"),
)


class Plan(NamedTuple):
    """What a run will do, known before anything is compiled."""

    bounds: list[int]  # vector steps at which chunks begin and end
    num_envs: int
    updates_per_step: int
    replay_bytes: int  # of all seeds
    state_bytes: int  # of all seeds, replay included
    peak_bytes: int  # the states of all seeds, and copies of those being trained
    total_bytes: int = 0  # the same, with what is known of an update and of an evaluation
    minibatch: int = 1  # transitions, which of an on-policy method are those of a vector step
    notes: tuple[str, ...] = ()  # sentences on what a person may not expect of these settings

    def steps(self, vector_step: int) -> int:
        """Returns the environment steps per seed at a vector step."""
        return vector_step * self.num_envs

    def updates(self, vector_step: int) -> int:
        """Returns the gradient updates per seed at a vector step."""
        return (vector_step - self.bounds[0]) * self.updates_per_step

    def draws(self) -> float:
        """Returns how often a transition is drawn, on average over those that are gathered."""
        last = self.bounds[-1]
        return self.updates(last) * self.minibatch / self.steps(last)

    def describe(self) -> str:
        """Returns one line for a person."""
        last = self.bounds[-1]
        ratio = self.updates_per_step / self.num_envs
        replay, memory = self.replay_bytes / 2**20, max(self.peak_bytes, self.total_bytes) / 2**20
        return (
            f"per seed {counted(self.steps(last), 'environment step')} ({counted(last, 'vector step')} of "
            f"{counted(self.num_envs, 'environment')}), {self.steps(self.bounds[0]):,} of them warm-up, and "
            f"{counted(self.updates(last), 'update')} ({ratio:.3g} per environment step) with minibatches of "
            f"{self.minibatch:,}, so that a transition is drawn {self.draws():.3g} times on average; memory "
            f"{memory:,.1f} MiB for all seeds, of which replay {replay:,.1f} MiB"
        )


def make_plan(
    env: Env, programs: Programs, config: Any, loop: LoopConfig, run: RunConfig, layout: Layout = ONE_DEVICE
) -> Plan:
    """Plans a run without compiling or allocating anything.

    Raises:
      SettingError: it cannot work: no step is left after the warm-up, or it needs more memory than there is.
    """
    warmup, last = -(-loop.warmup_steps // loop.num_envs), -(-run.steps // loop.num_envs)
    bounds = chunk_bounds(warmup, last, run.evaluations)
    _check_int32(loop, run, bounds, env.spec)
    stored = min(warmup * loop.num_envs, -(-loop.replay_capacity // loop.num_envs) * loop.num_envs)
    minibatch = programs.minibatch(config)
    if minibatch > stored:
        raise SettingError(
            f"batch_size must be at most the {stored:,} transitions that are stored in the warm-up (warmup_steps, "
            f"replay_capacity), not {loop.batch_size:,}."
        )
    state = programs.shapes(jax.eval_shape(lambda: seed_keys(run)), config)
    memory = run_memory(state, env.spec, config, loop, run, layout)
    check_fits(memory, run.seeds, layout.devices)
    replay_bytes, state_bytes = nbytes(state.memory), nbytes(state)
    peak = peak_bytes(state_bytes, run.seeds, layout)
    sizes = (replay_bytes, state_bytes, peak, memory.bytes, minibatch)
    plan = Plan(bounds, loop.num_envs, loop.updates_per_step, *sizes)
    notes = (_rounded(plan, loop, run, env.spec), _few_updates(plan, loop), *_without_effect(plan, config, loop, run))
    return plan._replace(notes=tuple(filter(None, notes)))


def counted(number: int, what: str) -> str:
    """Returns "1 update" or "2,000 updates"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _rounded(plan: Plan, loop: LoopConfig, run: RunConfig, spec: Spec) -> str:
    """Returns what was rounded up to whole steps of all environments, in a sentence; "" where nothing was."""
    rows = -(-loop.replay_capacity // loop.num_envs)
    asked = {
        "steps": (run.steps, plan.steps(plan.bounds[-1])),
        "warmup_steps": (loop.warmup_steps, plan.steps(plan.bounds[0])),
        "replay_capacity": (loop.replay_capacity, rows * loop.num_envs),
    }
    found = [f"{name} from {given:,} to {made:,}" for name, (given, made) in asked.items() if given != made]
    return f"rounded up to whole steps of all {loop.num_envs:,} environments: {', '.join(found)}" if found else ""


def _few_updates(plan: Plan, loop: LoopConfig) -> str:
    """Returns a sentence where a run learns hardly anything from its data; "" where it does."""
    updates, draws = plan.updates(plan.bounds[-1]), plan.draws()
    on_policy = plan.minibatch != loop.batch_size  # which draws nothing twice
    if updates >= FEW_UPDATES and (draws >= 1 or on_policy):
        return ""
    return (
        f"hardly any updates: {counted(updates, 'update')} per seed, and a transition is drawn {draws:.3g} times on "
        "average; a run of more steps or updates_per_step, or of fewer num_envs, learns more"
    )


def _without_effect(plan: Plan, config: Any, loop: LoopConfig, run: RunConfig) -> Iterator[str]:
    """Yields sentences on settings that do less than a person may expect, or nothing."""
    if loop.batch_size not in (plan.minibatch, LoopConfig.batch_size):
        yield (
            f"batch_size ({loop.batch_size:,}) has no effect: an on-policy method learns from one step of all "
            "environments at a time"
        )
    if isinstance(config, TargetConfig) and config.target_update == "periodic" and config.tau != type(config).tau:
        yield f"tau ({shown(config.tau)}) has no effect where target_update is periodic"
    if isinstance(config, NetworkConfig) and config.residual and config.norm != type(config).norm:
        yield f"norm ({config.norm}) has no effect where residual is given"
    last = plan.steps(plan.bounds[-1])
    if isinstance(config, NoiseConfig) and config.noise_final is not None and config.noise_steps > last:
        yield f"the noise does not reach noise_final: noise_steps are {config.noise_steps:,}, the run's {last:,}"
    chunk = plan.steps(max(end - start for start, end in itertools.pairwise(plan.bounds)))
    if run.checkpoint_steps is not None and run.checkpoint_steps < chunk:
        yield (
            f"a checkpoint is saved every {chunk:,} steps rather than every {run.checkpoint_steps:,} "
            "(checkpoint_steps), since each follows an evaluation; more evaluations allow more of them"
        )


def _check_int32(loop: LoopConfig, run: RunConfig, bounds: list[int], spec: Spec) -> None:
    """Checks what the device counts in int32 and several settings determine together.

    Raises:
      SettingError: a number would be too large.
    """
    last, envs, updates = bounds[-1], loop.num_envs, (bounds[-1] - bounds[0]) * loop.updates_per_step
    rows = -(-loop.replay_capacity // envs) + spec.image
    if run.seed + run.seeds - 1 > INT32:
        raise SettingError(f"seed + seeds must stay below 2**31, not {run.seed} + {run.seeds}.")
    if updates > INT32:
        raise SettingError(
            f"updates_per_step must be such that a run of these steps has fewer than 2**31 updates, not {updates:,}: "
            f"{loop.updates_per_step:,} in each of {bounds[-1] - bounds[0]:,} vector steps."
        )
    if last + loop.n_step > INT32:
        raise SettingError(f"n_step + steps must stay below 2**31, not {loop.n_step:,} + {last:,} vector steps.")
    if rows * envs > INT32:
        raise SettingError(
            f"replay_capacity must stay below 2**31 when it is rounded up to rows of num_envs ({envs:,}), not "
            f"{loop.replay_capacity:,}."
        )
    if spec.action_repeat > spec.episode_length:
        raise SettingError(
            f"action_repeat must be at most episode_length ({spec.episode_length:,}), not {spec.action_repeat:,}."
        )


def check_pairs(*configs: Any) -> None:
    """Checks that no setting of an algorithm or of the loop is given that another one keeps from having an effect.

    Raises:
      SettingError: one is; the sentence names both.
    """
    for config, (name, partner, needed) in itertools.product(configs, USED_WITH):
        fields = type(config).__dataclass_fields__
        if not {name, partner} <= fields.keys() or getattr(config, name) == fields[name].default:
            continue
        other, value = getattr(config, partner), getattr(config, name)
        if other is None if needed is None else other != needed:
            raise SettingError(f"{partner} must be {needed or 'given'} where {name} is given ({shown(value)}).")


def peak_bytes(state_bytes: int, seeds: int, layout: Layout) -> int:
    """Returns the most memory that training takes: sequential seeds are copied out, one per shard, to be trained."""
    copies = layout.mapping == "sequential" and seeds > layout.seed_shards
    return state_bytes + (state_bytes * layout.seed_shards // seeds if copies else 0)


class Job(NamedTuple):
    """A run, planned, before anything is compiled."""

    algorithm: Named
    config: Any
    loop: LoopConfig  # as the user has set it; the programs have a replay no larger than the run can fill
    run: RunConfig  # in which `env` is a name
    env: Env
    layout: Layout
    programs: Programs
    plan: Plan
    code: Codes = NONE  # of one's own

    def keys(self) -> jax.Array:
        """Returns the keys [S] of the seeds."""
        return seed_keys(self.run, self.layout)

    @property
    def title(self) -> str:
        """The algorithm and the environment in words."""
        return f"{label(self.algorithm.name)} on {self.env.spec.name}"

    def describe(self) -> str:
        """Returns one line for a person."""
        first, *others = self.run.seed_numbers()
        seeds = f"seeds {first} to {others[-1]}" if others else f"seed {first}"
        where = f"{self.layout.describe(self.run.seeds)} ({self.layout.first_device.device_kind})"
        length = f"episodes of at most {counted(self.env.spec.episode_length, 'step')}"
        return f"{self.title} ({length}), {seeds}{where}: {self.plan.describe()}"

    def say_plan(self, say: Callable[[str], None]) -> None:
        """Says what will be done, and what a person may not expect of it."""
        for words in (self.describe(), *self.plan.notes, idle_devices(self.layout, self.run)):
            if words:
                say(words)

    def config_dict(self) -> dict[str, Any]:
        """Returns the contents of config.json."""
        contents = config_dict(self.algorithm.name, self.run, self.loop, self.config, self.env.spec, code=self.code)
        return contents | {"devices": self.layout.devices}


def idle_devices(layout: Layout, run: RunConfig) -> str:
    """Returns a sentence on devices that a run leaves idle without having been asked to; "" where there are none."""
    available = len(layout.hardware or jax.devices())
    idle = available - layout.devices
    if not idle or run.devices is not None:
        return ""
    return (
        f"{idle} of {available} devices {'is' if idle == 1 else 'are'} idle, since {counted(run.seeds, 'seed')} "
        f"run{'s' * (run.seeds == 1)} on {layout.devices} of them; a number of seeds that {available} divides, or "
        f"--devices {available} with each agent data parallel, uses all"
    )


def plan_run(algorithm: Any, config: Any, loop: LoopConfig, run: RunConfig, begins: bool = True) -> Job:
    """Plans a run of an algorithm, as for `name_algorithm`, with these settings.

    Args:
      algorithm, config, loop, run: what to train, and how.
      begins: whether the run is a new one; an older one may have settings without effect.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    config, loop, run = plain(config), plain(loop), plain(run)
    if begins:
        check_pairs(config, loop)
    if run.wandb is not None and importlib.util.find_spec("wandb") is None:
        raise SettingError("wandb must be None where the package is not installed; `pip install wandb` installs it.")
    named, task = name_algorithm(algorithm), name_env(run.env)
    check_config(named, config)
    run, env = dataclasses.replace(run, env=task.name), open_env(task, run)
    layout = choose_layout(config, loop, run, env)
    run = dataclasses.replace(run, out=run_folder_of(named, run, "runs/"), seed_mapping=layout.mapping)
    fitted = fitted_replay(loop, run.steps)
    programs = make_programs(env, named, fitted, run.eval_episodes, layout)
    plan = make_plan(env, programs, config, fitted, run, layout)
    return Job(named, config, loop, run, env, layout, programs, plan, codes_of(named, task))


def run_folder_of(algorithm: Named, run: RunConfig, prefix: str) -> Path:
    """Returns the folder that a run is to have.

    Raises:
      SettingError: nothing can be written there.
    """
    folder = Path(run.out or f"{prefix}{label(algorithm.name)}-{label(run.env).replace('/', '-')}")
    check_run_folder(folder)
    return folder


def check_config(algorithm: Named, config: Any) -> None:
    """Checks that the settings are those of the algorithm.

    Raises:
      SettingError: they are of another class.
    """
    kind = algorithm.value.config
    if not isinstance(config, kind):
        raise SettingError(f"config of {algorithm.name} must be a {kind.__name__}, not a {type(config).__name__}.")
