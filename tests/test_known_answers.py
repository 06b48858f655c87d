"""Whole runs whose outcome is known: constant rewards in closed form, and the linear-quadratic problem by Riccati.

Accuracies in the docstrings are the worst of ten seeds (keys 0 to 9); the runs here are the first of them.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import counting, slow

from ddpg_jax import DDPGConfig, LoopConfig, ddpg, make_env, trainer
from ddpg_jax.core.networks import Dense, network
from ddpg_jax.core.types import Array
from ddpg_jax.envs import lqr

LENGTH, DISCOUNT = 20, 0.95
LOOP = LoopConfig(num_envs=8, batch_size=64, replay_capacity=8_000, warmup_steps=800)
# Noise as wide as the box: Q is asked for at the action 0, wherever the actor goes, so the data have to cover it.
CONFIG = DDPGConfig(discount=DISCOUNT, tau=0.05, noise_scale=1.0, hidden=(32, 32), norm="none")
CRITIC_LRS = (3e-3, 3e-3, 1e-3)  # the learning rate falls, so that the last minibatches leave no noise in Q
UPDATES = 1000  # with each of them
TIME = np.arange(LENGTH + 1)


class Script(NamedTuple):
    """An episode of 20 steps that no action changes."""

    obs: Array  # [21, 2] at each time
    reward: Array  # [21] for the step taken at each time
    terminates: Array  # [] at the end, which otherwise is a time limit

    def env(self):
        return counting(lambda time: self.obs[time], LENGTH, self.terminates, lambda time: self.reward[time])


def script(x, y, reward, terminates):
    columns = np.broadcast_arrays(x, y, reward, TIME)
    return Script(np.stack(columns[:2], 1).astype(np.float32), columns[2].astype(np.float32), np.array(terminates))


ANGLE = 2 * np.pi * TIME / LENGTH  # so that the last observation is the first, and both are trained
BEGUN = np.where(TIME == 0, -1, 1)
SCRIPTS = {
    "truncated": script(np.cos(ANGLE), np.sin(ANGLE), 1, terminates=False),
    "terminated": script(2 * TIME / LENGTH - 1, 0, 1, terminates=True),
    "restarting": script(BEGUN, 0, np.where(TIME == 0, -30, 1), terminates=False),
}


class SmoothCritic(nn.Module):
    """The default critic with softplus for ReLU.

    A smooth Q is fitted closely, and an actor climbs dQ/da, of which a ReLU network makes a staircase.
    """

    products: bool = False  # also sees all products of two inputs, in which a quadratic Q is linear

    @nn.compact
    def __call__(self, obs, action):
        x = jnp.concatenate([obs, action], axis=-1)
        if self.products:
            i, j = jnp.triu_indices(x.shape[-1])
            x = jnp.concatenate([x, x[..., i] * x[..., j]], axis=-1)
        for _ in range(2):
            x = nn.softplus(Dense(32)(x))
        return Dense(1)(x).squeeze(-1)


FOR_LONG = {"xla_backend_optimization_level": 1}  # these programs run for longer than they are compiled


def keys(seeds):
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


@pytest.fixture(scope="module")
def q():
    """For each script Q [S, 21] at every time, for the action 0; all of them learned in one program."""
    return learned_values(seeds=2)


def learned_values(seeds):
    def learn(script, key):
        env = script.env()

        def run(critic_lr):
            agent = ddpg(CONFIG.replace(critic_lr=critic_lr), env.spec, critic=network(SmoothCritic()))
            return agent, trainer(env, agent, LOOP)

        agent, first = run(CRITIC_LRS[0])
        starts = first.warmup + UPDATES * jnp.arange(len(CRITIC_LRS))

        def stage(state, settings):
            critic_lr, vector_step = settings
            return run(critic_lr)[1].train(state, vector_step, UPDATES)[0], None

        state, _ = jax.lax.scan(stage, first.prefill(first.init(key)), (jnp.array(CRITIC_LRS), starts))
        return agent.value(state.learner, script.obs, jnp.zeros((LENGTH + 1, 1)))

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *SCRIPTS.values())
    over_all = jax.vmap(jax.vmap(learn, in_axes=(None, 0)), in_axes=(0, None))
    values = jax.jit(over_all, compiler_options=FOR_LONG)(stacked, keys(seeds))
    return dict(zip(SCRIPTS, np.asarray(values), strict=True))


def test_a_truncated_episode_bootstraps(q):
    """Reward 1 forever, truncated every 20 steps: Q = 1 / (1 - γ) = 20 at every time. Reached within 0.2%."""
    np.testing.assert_allclose(q["truncated"], 20, rtol=0.05)


def test_a_terminated_episode_does_not(q):
    """The same, but terminated after step 20: Q(t) is the sum of the rewards that are left. Reached within 0.9%."""
    left = (1 - DISCOUNT ** (LENGTH - TIME)) / (1 - DISCOUNT)
    for time in (0, 4, 9, 14):
        np.testing.assert_allclose(q["terminated"][:, time], left[time], rtol=0.05)


def test_a_restart_leaks_nothing_into_the_value(q):
    """The first step of an episode costs 30, every other one earns 1: Q is 20 after it and -11 at it.

    Were the observation after a restart taken for the last one of the episode, every twentieth target would hold
    -30 + 0.95 Q instead of Q, and Q would be -8. Reached within 0.08.
    """
    np.testing.assert_allclose(q["restarting"][:, 1:], 20, atol=1)
    np.testing.assert_allclose(q["restarting"][:, 0], -30 + DISCOUNT * 20, atol=1)


# Short episodes and a modest bound keep a bad first policy from filling the replay with states far from the rest.
PROBLEM = lqr.Problem(bound=4.0)
LQR = make_env("lqr", problem=PROBLEM, episode_length=5)
LQR_DISCOUNT = 0.9
LQR_LOOP = LoopConfig(num_envs=16, batch_size=128, replay_capacity=50_000, warmup_steps=2_000, pool_size=256)
LQR_CONFIG = DDPGConfig(discount=LQR_DISCOUNT, tau=0.05, noise_scale=0.3, hidden=(32, 32), norm="none")
SCHEDULE = [(1e-3, 1e-2)] * 4 + [(1e-3, 3e-3)] * 2 + [(3e-4, 1e-3)] * 2  # learning rates of actor and critic
CHUNK = 500


def lqr_agent(config):
    return ddpg(config, LQR.spec, critic=network(SmoothCritic(products=True)))


def solve_lqr(seeds):
    """The learners [S] after a run; another learning rate needs no other program."""

    def start(keys):
        run = trainer(LQR, lqr_agent(LQR_CONFIG), LQR_LOOP)
        return jax.vmap(lambda key: run.prefill(run.init(key)))(keys)

    @functools.partial(jax.jit, compiler_options=FOR_LONG)
    def chunk(state, config, clock):
        run = trainer(LQR, lqr_agent(config), LQR_LOOP)
        return jax.vmap(lambda state: run.train(state, clock, CHUNK)[0])(state)

    state, warmup = jax.jit(start)(keys(seeds)), LQR_LOOP.warmup_steps // LQR_LOOP.num_envs
    for i, (actor_lr, critic_lr) in enumerate(SCHEDULE):
        state = chunk(state, LQR_CONFIG.replace(actor_lr=actor_lr, critic_lr=critic_lr), warmup + i * CHUNK)
    return state.learner


def lqr_errors(learners):
    """Of the gain, |K - K*| / |K*| with K by least squares of the action on the state; and of Q, root mean square over
    states and actions as a share of the spread (standard deviation) of the exact Q over the same. Both [S].
    """
    agent, rng = lqr_agent(LQR_CONFIG), np.random.default_rng(0)
    gain, quadratic, constant = lqr.solve(PROBLEM, LQR_DISCOUNT)
    x = rng.uniform(-PROBLEM.spread, PROBLEM.spread, (512, 2)).astype(np.float32)
    action = np.clip(-x @ gain.T / PROBLEM.bound + rng.uniform(-0.5, 0.5, (512, 1)), -1, 1).astype(np.float32)
    both = np.hstack([x, action * PROBLEM.bound])
    exact = -np.einsum("bi,ij,bj->b", both, quadratic, both) - constant
    policy = jax.vmap(agent.act, in_axes=(0, None))(learners, x) * PROBLEM.bound
    fits = np.stack([-np.linalg.lstsq(x, u, rcond=None)[0].T for u in np.asarray(policy)])
    off = jax.vmap(agent.value, in_axes=(0, None, None))(learners, x, action) - exact
    return np.linalg.norm(fits - gain, axis=(1, 2)) / np.linalg.norm(gain), np.sqrt(np.mean(off**2, 1)) / exact.std()


@pytest.mark.parametrize("seeds", [pytest.param(1, marks=pytest.mark.quick_twin("[1]", "[3]")), *slow(3)])
def test_the_linear_quadratic_problem_is_solved(seeds):
    """Gain and Q of a double integrator against Riccati. Reached: gain within 0.9%, Q within 1.5%."""
    gain_error, q_error = lqr_errors(solve_lqr(seeds))
    assert gain_error.max() < 0.05
    assert q_error.max() < 0.05
