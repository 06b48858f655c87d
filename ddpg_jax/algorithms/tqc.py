"""Truncated quantile critics (Kuznetsov et al. 2020, "Controlling overestimation bias with truncated mixture of
continuous distributional quantile critics"): SAC, whose critics estimate quantiles of the return.
"""

from collections.abc import Callable

import jax.numpy as jnp

from ddpg_jax.algorithms.sac import Critics, SACConfig, sac
from ddpg_jax.core.exploration import MakeExplorer
from ddpg_jax.core.losses import CriticLoss, quantile_huber_loss
from ddpg_jax.core.networks import default_critic
from ddpg_jax.core.replay import uniform_replay
from ddpg_jax.core.settings import check, configclass, setting
from ddpg_jax.core.types import Agent, Array, Memory, Network, Spec


@configclass
class TQCConfig(SACConfig):
    """Settings of TQC. Floats are pytree leaves, which may be traced; all other settings are static."""

    critics: int = setting(default=5, help="number of critics", low=1)
    dropped: int = setting(
        default=2, help="quantiles per critic that the target drops, the largest of all critics together", low=0
    )
    quantiles: int = setting(default=25, help="quantiles of the return that each critic estimates", above="dropped")


def tqc(
    config: TQCConfig,
    spec: Spec,
    actor: Network | None = None,
    critic: Network | None = None,
    *,
    loss: CriticLoss = quantile_huber_loss,
    memory: Callable[..., Memory] = uniform_replay,
    explorer: MakeExplorer | None = None,
) -> Agent:
    """Returns a TQC agent (Kuznetsov et al. 2020, Algorithm 1), by default with the paper's critics and quantiles.

    The loss is the sum over the K quantiles of a critic, where the paper has the mean, so gradients are K times the
    paper's. Adam's steps are the same but for its ε; those of SGD, `clip_norm` and `weight_decay` are not.

    Args:
      config, spec, actor: as for `sac`.
      critic: (obs [..., *O], action [..., A]) -> [..., K] of K = `config.quantiles`; `config.critics` independent
        copies of it are learned. By default an MLP.
      loss: (quantiles [E, B, K], samples of the target [B, E (K - d)], weight [B] or None) -> [], d = `config.dropped`.
      memory, explorer: as for `sac`.

    Raises:
      SettingError: a setting has a value that cannot be used.
    """
    check(config)
    critic = critic or default_critic(config, spec, config.quantiles)
    mixture = Critics(config.critics, lambda q: truncated(q, config.dropped), lambda q: q.mean(axis=0))
    return sac(config, spec, actor, critic, critics=mixture, loss=loss, memory=memory, explorer=explorer)


def truncated(q: Array, dropped: int) -> Array:
    """Returns the smallest of all quantiles together, the truncated mixture (Kuznetsov et al. 2020, equation 11).

    Args:
      q: [E, B, K] quantiles of E critics.
      dropped: of each of them, so E times as many of the mixture are dropped.

    Returns:
      [B, E (K - dropped)] ascending.
    """
    critics, batch, quantiles = q.shape
    pooled = jnp.moveaxis(q, 0, 1).reshape(batch, critics * quantiles)
    return jnp.sort(pooled, axis=-1)[:, : critics * (quantiles - dropped)]
