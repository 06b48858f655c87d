"""The skeleton of every algorithm here: an ordered table of roles, descended one after the other.

A role is a group of parameters and how it learns. `jax.grad` is taken with respect to one role's parameters only,
so every other role, the targets included, is a constant without a single `stop_gradient`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.collectives import pmean
from ddpg_jax.core.types import Array, Key, Learner, Metrics, Transition, Variables

# loss(params, learner, batch, key) -> [], (mutated statistics, {name: []}): the one signature an author writes
Loss = Callable[[Variables, Learner, Transition, Key], tuple[Array, tuple[Variables, dict[str, Array]]]]
# target(params, target_params, how often the slowest role has stepped) -> target_params
Target = Callable[[Variables, Variables, Array], Variables]


class Role(NamedTuple):
    """A group of parameters: how it starts, what it descends, with what, how often, and how its slow copy follows."""

    init: Callable[[Key], Variables]
    loss: Loss
    optimizer: optax.GradientTransformation
    every: int = 1  # updates between two steps of this role
    target: Target | None = None


def polyak(tau: Array | float) -> Target:
    """θ' <- τ θ + (1 - τ) θ', running statistics included (Lillicrap et al. 2016, Algorithm 1)."""
    return lambda params, target, updates: optax.incremental_update(params, target, tau)


def periodic(period: int) -> Target:
    """θ' <- θ after every `period` steps of the slowest role (Mnih et al. 2015)."""
    return lambda params, target, updates: optax.periodic_update(params, target, updates, period)


def descend(name: str, role: Role, learner: Learner, batch: Transition, key: Key) -> tuple[Learner, Metrics]:
    """Takes one step down `role.loss`; the parameters of every other role are constants.

    Devices that share the agent descend the mean of their gradients, and so stay alike: of a loss that is a mean over
    the batch, the mean over equal shares is that over all of it.

    Metrics are what the loss reports plus the loss itself, as "name/quantity".
    """
    params = learner.params[name]
    gradient = jax.value_and_grad(role.loss, has_aux=True)
    (loss, (mutated, metrics)), grads = gradient(params, learner, batch, key)
    updates, opt_state = role.optimizer.update(pmean(grads), learner.opt_state[name], params)
    params = optax.apply_updates(params, updates) | mutated
    learner = replace(learner, params=learner.params | {name: params}, opt_state=learner.opt_state | {name: opt_state})
    return learner, {f"{name}/{what}": (value, jnp.ones(())) for what, value in ({"loss": loss} | metrics).items()}


def update_targets(roles: dict[str, Role], learner: Learner, updates: Array) -> Learner:
    """Lets every slow copy follow its parameters once."""
    followed = {
        name: role.target(learner.params[name], learner.target_params[name], updates)
        for name, role in roles.items()
        if role.target
    }
    return replace(learner, target_params=followed)


def every(period: int, update_step: Array, step: Callable[[Learner], tuple[Learner, Metrics]], learner: Learner) -> Any:
    """Runs `step` on each `period`-th update_step, and elsewhere leaves the learner and counts nothing."""
    if period == 1:
        return step(learner)
    _, skipped = jax.eval_shape(step, learner)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), skipped)
    return jax.lax.cond((update_step + 1) % period == 0, step, lambda learner: (learner, nothing), learner)


def actor_critic(roles: dict[str, Role]) -> tuple[Callable[[Key], Learner], Callable[..., tuple[Learner, Metrics]]]:
    """The `init` and `update` of an algorithm, from its table.

    Roles step in the table's order, each seeing what the earlier ones have just become; then the targets follow, at
    the pace of the slowest role.
    """
    slowest = max(role.every for role in roles.values())

    def init(key):
        keys = jax.random.split(key, len(roles))
        params = {name: role.init(k) for (name, role), k in zip(roles.items(), keys, strict=True)}
        # A target that IS the online array could not be donated beside it.
        targets = {name: jax.tree.map(jnp.copy, params[name]) for name, role in roles.items() if role.target}
        opt_state = {name: role.optimizer.init(params[name]) for name, role in roles.items()}
        return Learner(params, targets, opt_state)

    def update(learner, batch, key, update_step):
        metrics: Metrics = {}
        for (name, role), role_key in zip(roles.items(), jax.random.split(key, len(roles)), strict=True):
            step = lambda learner, name=name, role=role, key=role_key: descend(name, role, learner, batch, key)  # noqa: E731
            learner, measured = every(role.every, update_step, step, learner)
            metrics |= measured
        learner, _ = every(
            slowest,
            update_step,
            lambda learner: (update_targets(roles, learner, (update_step + 1) // slowest), {}),
            learner,
        )
        return learner, metrics

    return init, update
