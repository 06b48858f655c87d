"""Deterministic policy gradients in JAX, from environment to policy inside one jit."""

from ddpg_jax.algorithms import Algorithm
from ddpg_jax.algorithms.copdac import COPDACConfig, copdac_gq, copdac_q
from ddpg_jax.algorithms.d4pg import D4PGConfig, d4pg
from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.algorithms.dpg import DPGConfig, dpg_off_policy, dpg_on_policy
from ddpg_jax.algorithms.sac import SACConfig, sac
from ddpg_jax.algorithms.td3 import TD3Config, td3
from ddpg_jax.drawing import drawer
from ddpg_jax.envs import as_gymnasium, make_env
from ddpg_jax.envs.pixels import pixels
from ddpg_jax.envs.vet import check_env
from ddpg_jax.evaluate import Evaluation, evaluate
from ddpg_jax.experiment import run_experiment
from ddpg_jax.export import export
from ddpg_jax.notebook import live_plot
from ddpg_jax.plan import RunConfig
from ddpg_jax.play import play_gymnasium
from ddpg_jax.plotting import plot
from ddpg_jax.policy import Policy, load_critic, load_policy
from ddpg_jax.presets import preset
from ddpg_jax.recovery import resume_experiment as resume
from ddpg_jax.render import frames, render
from ddpg_jax.report import report
from ddpg_jax.rollout import rollout
from ddpg_jax.settings import SettingError
from ddpg_jax.space import Range, grid, sampled
from ddpg_jax.sweep import sweep
from ddpg_jax.train import LoopConfig, train, trainer
from ddpg_jax.types import Agent, Env, Learner, Spec, TrainState, Transition

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
    "TrainState",
    "Transition",
    "as_gymnasium",
    "check_env",
    "copdac_gq",
    "copdac_q",
    "d4pg",
    "ddpg",
    "dpg_off_policy",
    "dpg_on_policy",
    "drawer",
    "evaluate",
    "export",
    "frames",
    "grid",
    "live_plot",
    "load_critic",
    "load_policy",
    "make_env",
    "pixels",
    "play_gymnasium",
    "plot",
    "preset",
    "render",
    "report",
    "resume",
    "rollout",
    "run_experiment",
    "sac",
    "sampled",
    "sweep",
    "td3",
    "train",
    "trainer",
]
