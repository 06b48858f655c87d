"""Diagnostics of a learner: bias of Q, saturation of actions, norms of parameters and gradients, scale of the noise.

They are computed together with the evaluation, once a chunk, so training does not become slower.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.collectives import pmean
from ddpg_jax.core.episodes import EpisodeSummary
from ddpg_jax.core.types import Agent, Array, Learner

ADAM_B2 = 0.999  # optax's default, which all our optimizers use


def diagnose(
    agent: Agent, learner: Learner, summary: EpisodeSummary, vector_step: Any, num_envs: int
) -> dict[str, Array]:
    """Returns numbers [] about a learner.

    Args:
      agent, learner: the algorithm and its parameters.
      summary: episodes of its greedy policy, from `play_episodes` with the agent's discount.
      vector_step: vector steps so far.
      num_envs: N, those of one device where several share the agent.

    Returns:
      A dictionary of

      - `eval_q`: mean Q(s, μ(s)) at the starts of the episodes, in the environment's rewards.
      - `eval_discounted`: the mean discounted return from there, the sum of γᵗ rₜ, plus γᵀ Q where a time limit of T
        steps truncated the episode. The difference to `eval_q` is what the critic overestimates (Fujimoto et al. 2018,
        section 4.1). In SAC, Q includes the entropy of later steps.
      - `eval_saturation`: fraction of the actions that have a component within 1% of a bound.
      - `ROLE/param_norm`: global norm of a role's parameters.
      - `ROLE/grad_norm`: root mean square of the norm of a role's gradient over about the last 1,000 updates, from the
        second moment of Adam; only where the optimizer is Adam, and after `clip_norm` and `weight_decay`.
      - `noise_scale`: σ of the exploration noise, the mean over environments, where the explorer has one.
    """

    def value(obs):
        return agent.value(learner, obs, agent.act(learner, obs)) / agent.reward_scale

    beyond = jnp.where(summary.terminated, 0.0, agent.discount**summary.lengths * value(summary.last_obs))
    found = {
        "eval_q": value(summary.first_obs).mean(),
        "eval_discounted": (summary.discounted_returns + beyond).mean(),
        "eval_saturation": summary.saturated.sum(dtype=jnp.float32) / summary.lengths.sum(dtype=jnp.float32),
    }
    for role, variables in learner.params.items():
        found[f"{role}/param_norm"] = optax.tree.norm(variables.get("params", variables))
        for adam in filter(_is_adam, jax.tree.leaves(learner.opt_state[role], is_leaf=_is_adam)):
            share = 1 - ADAM_B2 ** jnp.maximum(adam.count, 1)
            found[f"{role}/grad_norm"] = jnp.sqrt(optax.tree.sum(adam.nu) / share)
    if agent.explorer.scale is not None:
        sigma = jnp.asarray(agent.explorer.scale(vector_step, num_envs), jnp.float32)
        found["noise_scale"] = pmean(jnp.mean(sigma))
    return found


def _is_adam(state: Any) -> bool:
    return isinstance(state, optax.ScaleByAdamState)
