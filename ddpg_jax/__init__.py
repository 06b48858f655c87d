"""Deterministic policy gradients in JAX, from environment to policy inside one jit."""

from ddpg_jax.algorithms.ddpg import DDPGConfig, ddpg
from ddpg_jax.envs import make_env
from ddpg_jax.evaluate import Evaluation, evaluate
from ddpg_jax.policy import load_critic, load_policy
from ddpg_jax.settings import SettingError
from ddpg_jax.train import LoopConfig, train, trainer
from ddpg_jax.types import Agent, Env, Learner, Spec, TrainState, Transition

__all__ = [
    "Agent",
    "DDPGConfig",
    "Env",
    "Evaluation",
    "Learner",
    "LoopConfig",
    "SettingError",
    "Spec",
    "TrainState",
    "Transition",
    "ddpg",
    "evaluate",
    "load_critic",
    "load_policy",
    "make_env",
    "train",
    "trainer",
]
