"""The skeleton of every algorithm here: an ordered table of roles, updated one after the other.

A role is a group of parameters and how it learns. `jax.grad` is taken with respect to one role's parameters only, so
every other role is a constant, its target parameters too, without a single `stop_gradient`.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from ddpg_jax.core.collectives import pmean
from ddpg_jax.core.platforms import loop_if, on_gpu
from ddpg_jax.core.types import Array, Key, Learner, Metrics, Transition, Variables

# (params, learner, batch, key) -> loss [], (updated running statistics, {name: metric []})
Loss = Callable[[Variables, Learner, Transition, Key], tuple[Array, tuple[Variables, dict[str, Array]]]]
# (params, target_params, number of updates of the slowest role) -> target_params
Target = Callable[[Variables, Variables, Array], Variables]
Step = Callable[[Learner], tuple[Learner, Metrics]]


class Role(NamedTuple):
    """A group of parameters: how they start, which loss they minimize, with which optimizer, and how often."""

    init: Callable[[Key], Variables]
    loss: Loss
    optimizer: optax.GradientTransformation
    every: int = 1  # this role is updated in every `every`-th update of the agent
    target: Target | None = None  # how its target parameters follow; None: it has none


def polyak(tau: Array | float) -> Target:
    """Returns the rule θ' <- τ θ + (1 - τ) θ', for running statistics too (Lillicrap et al. 2016, Algorithm 1)."""
    return lambda params, target_params, updates: optax.incremental_update(params, target_params, tau)


def periodic(period: int) -> Target:
    """Returns the rule θ' <- θ after every `period` updates of the slowest role (Mnih et al. 2015)."""
    return lambda params, target_params, updates: optax.periodic_update(params, target_params, updates, period)


def actor_critic(roles: dict[str, Role]) -> tuple[Callable[[Key], Learner], Callable[..., tuple[Learner, Metrics]]]:
    """Returns `init` and `update` of an agent from its table of roles.

    Roles are updated in the order of the table, each using the already updated parameters of the earlier ones. Targets
    are then updated, but only when the slowest role is.

    Args:
      roles: name -> role.

    Returns:
      `init(key)` -> learner, and `update(learner, batch [B, ...], key, update_step)` -> (learner, metrics).
    """
    return partial(_init, roles), partial(_update, roles)


def _init(roles: dict[str, Role], key: Key) -> Learner:
    keys = jax.random.split(key, len(roles))
    params = {name: role.init(k) for (name, role), k in zip(roles.items(), keys, strict=True)}
    # A target that is the same array as the online parameters could not be donated together with them.
    targets = {name: jax.tree.map(jnp.copy, params[name]) for name, role in roles.items() if role.target}
    opt_state = {name: role.optimizer.init(params[name]) for name, role in roles.items()}
    return Learner(params, targets, opt_state)


def _update(
    roles: dict[str, Role], learner: Learner, batch: Transition, key: Key, update_step: Array
) -> tuple[Learner, Metrics]:
    keys = jax.random.split(key, len(roles))
    slowest = max(role.every for role in roles.values())
    steps = [
        (role.every, partial(descend, name, role, batch=batch, key=role_key))
        for (name, role), role_key in zip(roles.items(), keys, strict=True)
    ]
    steps.append((slowest, partial(_update_targets, roles, (update_step + 1) // slowest)))
    metrics: Metrics = {}
    for period, group in itertools.groupby(steps, key=lambda step: step[0]):
        together = partial(_in_turn, [step for _, step in group])
        learner, measured = _every(period, update_step, together, learner)
        metrics |= measured
    return learner, metrics


def _in_turn(steps: list[Step], learner: Learner) -> tuple[Learner, Metrics]:
    """Runs several steps, one after the other, and returns the metrics of all of them."""
    metrics: Metrics = {}
    for step in steps:
        learner, measured = step(learner)
        metrics |= measured
    return learner, metrics


def descend(name: str, role: Role, learner: Learner, batch: Transition, key: Key) -> tuple[Learner, Metrics]:
    """Takes one step of the role's optimizer; the parameters of every other role are constants.

    Devices that share an agent take the mean of their gradients, so their parameters stay equal. Where the loss is a
    mean over the minibatch, that is the gradient over the minibatches of all devices together.

    Returns:
      The learner, and the loss and whatever the loss reports as metrics "role/name".
    """
    params = learner.params[name]
    gradient = jax.value_and_grad(role.loss, has_aux=True)
    (loss, (mutated, metrics)), grads = gradient(params, learner, batch, key)
    updates, opt_state = role.optimizer.update(pmean(grads), learner.opt_state[name], params)
    params = optax.apply_updates(params, updates) | mutated
    learner = replace(learner, params=learner.params | {name: params}, opt_state=learner.opt_state | {name: opt_state})
    return learner, {f"{name}/{what}": (value, jnp.ones(())) for what, value in ({"loss": loss} | metrics).items()}


def _update_targets(roles: dict[str, Role], updates: Array, learner: Learner) -> tuple[Learner, Metrics]:
    """Lets the target parameters of all roles follow once."""
    followed = {
        name: role.target(learner.params[name], learner.target_params[name], updates)
        for name, role in roles.items()
        if role.target
    }
    return replace(learner, target_params=followed), {}


def _every(period: int, update_step: Array, step: Step, learner: Learner) -> tuple[Learner, Metrics]:
    """Runs `step` in every `period`-th update; in the others the learner stays, and metrics are (0, 0)."""
    if period == 1:
        return step(learner)
    _, shapes = jax.eval_shape(step, learner)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    due = (update_step + 1) % period == 0

    def branch(due, learner, nothing):
        return jax.lax.cond(due, step, lambda learner: (learner, nothing), learner)

    def loop(due, learner, nothing):
        return loop_if(due, lambda carry: step(carry[0]), (learner, nothing))

    return on_gpu(loop, branch, due, learner, nothing)
