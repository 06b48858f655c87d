"""Settings of learning that all algorithms share, as optimizers and as rules for target networks."""

from typing import Any, Literal

import jax
import optax

from ddpg_jax.core.roles import Target, periodic, polyak
from ddpg_jax.core.settings import configclass, setting
from ddpg_jax.core.types import Array, Variables


@configclass
class LearningConfig:
    """How the roles of every algorithm learn."""

    actor_lr: float = setting(default=1e-3, help="learning rate of the actor", low=0)
    critic_lr: float = setting(default=1e-3, help="learning rate of the critic", low=0)
    optimizer: Literal["adam", "sgd"] = setting(default="adam", help="optimizer of all networks")
    weight_decay: float | None = setting(
        default=None,
        help="L2 penalty on the critic's weights (not biases), added to the gradient before the optimizer; None: no "
        "penalty",
        low=0,
    )
    clip_norm: float | None = setting(
        default=None,
        help="largest global norm of the gradient of the actor, of all critics together and of the temperature; None: "
        "no clipping",
        above=0,
    )
    discount: float = setting(default=0.99, help="discount factor γ per action", low=0, high=1)
    reward_scale: float = setting(default=1.0, help="factor on the rewards that the critic learns from")
    normalize_obs: bool = setting(
        default=False, help="normalize observations to mean 0 and variance 1 by running statistics"
    )


@configclass
class TargetConfig:
    """How target networks follow the online networks."""

    tau: float = setting(
        default=0.005, help="Polyak rate τ of the target networks: θ' <- τ θ + (1 - τ) θ'", above=0, high=1
    )
    target_update: Literal["polyak", "periodic"] = setting(
        default="polyak",
        help="polyak: moving average with rate tau; periodic: targets are copied every target_period updates",
    )
    target_period: int = setting(
        default=200,
        help="updates between copies, where target_update is periodic (for td3: updates of the actor)",
        low=1,
    )


def target_update(config: TargetConfig) -> Target:
    """Returns the rule that `config.target_update` names."""
    return {"polyak": polyak(config.tau), "periodic": periodic(config.target_period)}[config.target_update]


def optimizer(config: LearningConfig, lr: Array | float, weight_decay: Any = None) -> optax.GradientTransformation:
    """Returns Adam (Kingma and Ba 2015) or SGD, after clipping by global norm and an L2 penalty on the kernels.

    Args:
      config: names the optimizer and the clipping.
      lr: learning rate; may be traced.
      weight_decay: factor of the L2 penalty; None: no penalty.
    """
    steps = []
    if config.clip_norm is not None:
        steps.append(optax.clip_by_global_norm(config.clip_norm))
    if weight_decay is not None:
        steps.append(optax.add_decayed_weights(weight_decay, mask=_kernels))
    descent = {"adam": optax.adam, "sgd": optax.sgd}[config.optimizer](lr)
    return optax.chain(*steps, descent) if steps else descent


def _kernels(params: Variables) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: getattr(path[-1], "key", None) == "kernel", params)
