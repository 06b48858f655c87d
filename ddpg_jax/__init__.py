"""Deterministic policy gradients in JAX, from environment to policy inside one jit."""

from ddpg_jax.cli import interrupt  # noqa: F401  # isort: skip, it comes before what takes long to import
from ddpg_jax.algorithms.copdac import COPDACConfig, copdac_gq, copdac_q
from ddpg_jax.algorithms.d4pg import D4PGConfig, d4pg
from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.algorithms.dpg import DPGConfig, dpg_off_policy, dpg_on_policy
from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.algorithms.td3 import TD3Config, td3
from ddpg_jax.algorithms.tqc import TQCConfig, tqc
from ddpg_jax.core.episodes import Evaluation, evaluate, rollout
from ddpg_jax.core.loop import LoopConfig, train, trainer
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Agent, Algorithm, Env, Learner, Spec, TrainState, Transition
from ddpg_jax.deploy.evaluate import play_gymnasium
from ddpg_jax.deploy.export import export
from ddpg_jax.deploy.policy import Policy, load_critic, load_policy, make_policy
from ddpg_jax.envs.check import check_env
from ddpg_jax.envs.make import as_gymnasium, make_env
from ddpg_jax.envs.pixels import pixels
from ddpg_jax.envs.registered import register_environment
from ddpg_jax.results.drawing import make_renderer
from ddpg_jax.results.notebook import live_plot
from ddpg_jax.results.plot import plot
from ddpg_jax.results.render import frames, render
from ddpg_jax.results.report import report
from ddpg_jax.runs.compilation import compile_run
from ddpg_jax.runs.experiment import run_experiment
from ddpg_jax.runs.plan import RunConfig
from ddpg_jax.runs.presets import preset
from ddpg_jax.runs.registry import register_algorithm
from ddpg_jax.runs.resume import resume_experiment as resume
from ddpg_jax.runs.save_run import save_run
from ddpg_jax.runs.stored_run import read_run as open_run
from ddpg_jax.sweeps.resume import resume_sweep
from ddpg_jax.sweeps.search_space import Range, grid, sampled
from ddpg_jax.sweeps.sweep import sweep

__all__ = [
    "Agent",
    "Algorithm",
    "COPDACConfig",
    "D4PGConfig",
    "DDPGConfig",
    "DPGConfig",
    "Env",
    "Evaluation",
    "Learner",
    "LoopConfig",
    "Policy",
    "Range",
    "RunConfig",
    "SACConfig",
    "SettingError",
    "Spec",
    "TD3Config",
    "TQCConfig",
    "TrainState",
    "Transition",
    "as_gymnasium",
    "check_env",
    "compile_run",
    "copdac_gq",
    "copdac_q",
    "d4pg",
    "ddpg",
    "dpg_off_policy",
    "dpg_on_policy",
    "evaluate",
    "export",
    "frames",
    "grid",
    "live_plot",
    "load_critic",
    "load_policy",
    "make_env",
    "make_policy",
    "make_renderer",
    "open_run",
    "pixels",
    "play_gymnasium",
    "plot",
    "preset",
    "register_algorithm",
    "register_environment",
    "render",
    "report",
    "resume",
    "resume_sweep",
    "rollout",
    "run_experiment",
    "sac",
    "sampled",
    "save_run",
    "sweep",
    "td3",
    "tqc",
    "train",
    "trainer",
]
