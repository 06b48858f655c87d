"""A run, planned: what it is and how it is called, before anything is compiled."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ddpg_jax.runs import run_folder
from ddpg_jax.envs.make import make_env
from ddpg_jax.runs.plan import Plan, Programs, RunConfig, make_plan, options_of, placement, programs, seed_keys
from ddpg_jax.devices.layout import Layout
from ddpg_jax.core.settings import SettingError, check
from ddpg_jax.core.loop import LoopConfig
from ddpg_jax.core.types import Env


class Job(NamedTuple):
    """A run, planned, before anything is compiled."""

    algorithm: str
    config: Any
    loop: LoopConfig
    run: RunConfig
    env: Env
    layout: Layout
    phases: Programs
    plan: Plan

    def keys(self) -> jax.Array:
        """[S] of the seeds."""
        return seed_keys(self.run, self.layout)

    def describe(self) -> str:
        """One line for a person."""
        run = self.run
        seeds = f"seeds {run.seed} to {run.seed + run.seeds - 1}{self.layout.describe(run.seeds)}"
        return f"{self.algorithm} on {self.env.spec.name}, {seeds}: {self.plan.describe()}"

    def config_dict(self) -> dict[str, Any]:
        """What config.json says of it."""
        return run_folder.config_dict(self.algorithm, self.run, self.loop, self.config, self.env.spec)


def plan_run(algorithm: str, config: Any, loop: LoopConfig, run: RunConfig) -> Job:
    """A run with these settings.

    Raises:
      SettingError: one of them cannot be used.
    """
    for settings_of in (config, loop, run):
        check(settings_of)
    if run.wandb is not None and importlib.util.find_spec("wandb") is None:
        raise SettingError("wandb must be None where the package is missing; `pip install wandb` brings it.")
    env = make_env(run.env, **options_of(run))
    layout = placement(config, loop, run, env)
    folder = Path(run.out or f"runs/{algorithm}-{run.env.replace('/', '-')}")
    run = dataclasses.replace(run, out=folder, seed_mapping=layout.mapping)
    phases = programs(env, algorithm, loop, run.eval_episodes, layout)
    return Job(algorithm, config, loop, run, env, layout, phases, make_plan(env, phases, config, loop, run, layout))
