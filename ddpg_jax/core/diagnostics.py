"""What a learner looks like from outside, once a chunk: values against what was achieved, norms, saturation, noise.

All of it is worked out beside the evaluation, so that training pays nothing for it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.episodes import EpisodeSummary
from ddpg_jax.core.types import Agent, Array, Learner

ADAM_B2 = 0.999  # optax's default, which all our tables use


def diagnose(
    agent: Agent, learner: Learner, played: EpisodeSummary, vector_step: Any, num_envs: int, reward_scale: Any = 1.0
) -> dict[str, Array]:
    """Numbers [] about a learner.

    Args:
      played: episodes of its policy, with the agent's discount.
      vector_step: vector steps so far, of `num_envs` environments.
      reward_scale: the factor on rewards in `agent.value`.

    Returns:
      eval_q: Q(s, μ(s)) at the starts of the episodes, and eval_discounted: what was achieved from there, the sum of
        γᵗ rᵗ, with γᵀ Q for what lies beyond a time limit; both in the environment's rewards. The difference is what
        the critic overestimates (Fujimoto et al. 2018, section 4.1). SAC's Q also counts the entropy to come.
      eval_saturation: share of decisions with an action within 1% of a bound.
      ROLE/param_norm: the norm of its parameters; ROLE/grad_norm: the root mean square of its gradient's norm over
        about the last 1,000 updates, which is in Adam's second moment, where the role descends by Adam.
      noise_scale: σ of the exploration, the mean over environments, where it has one.
    """

    def value(obs):
        return agent.value(learner, obs, agent.act(learner, obs)) / reward_scale

    beyond = jnp.where(played.terminated, 0.0, agent.discount**played.lengths * value(played.last_obs))
    found = {
        "eval_q": value(played.first_obs).mean(),
        "eval_discounted": (played.discounted_returns + beyond).mean(),
        "eval_saturation": played.saturated.sum() / played.lengths.sum(),
    }
    for role, variables in learner.params.items():
        found[f"{role}/param_norm"] = optax.tree.norm(variables.get("params", variables))
        for adam in filter(_is_adam, jax.tree.leaves(learner.opt_state[role], is_leaf=_is_adam)):
            share = 1 - ADAM_B2 ** jnp.maximum(adam.count, 1)
            found[f"{role}/grad_norm"] = jnp.sqrt(optax.tree.sum(adam.nu) / share)
    if agent.explorer.scale is not None:
        found["noise_scale"] = jnp.mean(jnp.asarray(agent.explorer.scale(vector_step, num_envs), jnp.float32))
    return found


def _is_adam(state: Any) -> bool:
    return isinstance(state, optax.ScaleByAdamState)
