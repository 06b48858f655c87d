"""The compatible critic: Theorem 3's two conditions, and COPDAC-Q and COPDAC-GQ against the paper's own equations."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec

from ddpg_jax import COPDACConfig, copdac_gq, copdac_q
from ddpg_jax.algorithms.copdac import compatible_q
from ddpg_jax.core.networks import Actor, Critic, Shape, network
from ddpg_jax.core.types import Network, Transition

B, S, A, KEY = 8, 3, 2, jax.random.key(0)
GAMMA, ALPHA_THETA, ALPHA_W, ALPHA_U = 0.9, 0.01, 0.05, 0.1
TOY = spec(obs_shape=(S,), action_size=A)
ACTOR = network(Actor(A, Shape(1, (5,), activation="tanh")))
VALUE = network(Critic(Shape(1, (4,), activation="tanh")))


@pytest.fixture(scope="module")
def data():
    """θ, w, v at random, and a batch, in float64."""
    keys = jax.random.split(KEY, 6)
    with jax.enable_x64(True):
        obs, next_obs = jax.random.normal(keys[0], (2, B, S), jnp.float64)
        theta, v = ACTOR.init(keys[1], obs), VALUE.init(keys[2], obs)
        theta, v = (jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree) for tree in (theta, v))
        w = jax.tree.map(lambda leaf: jax.random.normal(keys[3], leaf.shape, jnp.float64), theta)
        action = jax.random.uniform(keys[4], (B, A), jnp.float64, -1.0)
        reward, discount = jax.random.normal(keys[5], (B,), jnp.float64), jnp.array([1.0, 0.0] * (B // 2))
        return theta, {"w": w, "v": v}, Transition(obs, action, reward, discount, discount > 2, next_obs)


def test_the_first_condition(data):
    """∇a Q at a = μ(s) is ∇θμ(s)ᵀ w: the left side by central differences, the right one by the whole Jacobian."""
    theta, critic, batch = data
    with jax.enable_x64(True):
        mean = ACTOR.apply(theta, batch.obs)
        jacobian = jax.jacobian(lambda theta: ACTOR.apply(theta, batch.obs))(theta)  # leaves [B, A, ...]
        products = jax.tree.map(lambda j, w: (j * w).reshape(B, A, -1).sum(-1), jacobian, critic["w"])
        expected = sum(jax.tree.leaves(products))
        for i in range(A):
            along = 1e-6 * jnp.eye(A)[i]
            ends = [compatible_q(ACTOR, VALUE, theta, critic, batch.obs, mean + sign * along) for sign in (1, -1)]
            np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, expected[:, i], rtol=1e-6)
        np.testing.assert_allclose(
            compatible_q(ACTOR, VALUE, theta, critic, batch.obs, mean), VALUE.apply(critic["v"], batch.obs)
        )


def curved_q(obs, action):
    """A Q that no compatible critic can equal."""
    return jnp.sin(2 * action[:, 0] + obs[:, 0]) - jnp.square(action - jnp.cos(obs[:, :A])).sum(-1) * (
        1 + obs[:, 1] ** 2
    )


def test_the_second_condition(data):
    """With w fitted by least squares to ∇a Q, the policy gradient through Qʷ is that through Q, though Qʷ is not Q."""
    theta, critic, _ = data
    with jax.enable_x64(True):
        obs = jax.random.normal(jax.random.key(7), (200, S), jnp.float64)
        flat, unflatten = jax.flatten_util.ravel_pytree(theta)
        features = jax.jacobian(lambda flat: ACTOR.apply(unflatten(flat), obs))(flat)  # ∇θμ(s)ᵀ [B, A, θ]
        mean = ACTOR.apply(theta, obs)
        slope = jax.vmap(jax.grad(lambda a, s: curved_q(s[None], a[None])[0]))(mean, obs)  # ∇a Q [B, A]
        w = np.linalg.lstsq(features.reshape(-1, flat.size), slope.reshape(-1), rcond=None)[0]
        fitted = {"w": unflatten(jnp.asarray(w)), "v": critic["v"]}

        def gradient(q):
            return jax.grad(lambda flat: q(ACTOR.apply(unflatten(flat), obs)).mean())(flat)

        true = gradient(lambda action: curved_q(obs, action))
        compatible = gradient(lambda action: compatible_q(ACTOR, VALUE, theta, fitted, obs, action))
        np.testing.assert_allclose(compatible, true, rtol=1e-6, atol=1e-9)
        assert np.abs(features @ w - slope).max() > 0.1
        unfitted = gradient(lambda action: compatible_q(ACTOR, VALUE, theta, critic, obs, action))
        assert np.abs(unfitted - true).max() > 0.1


# A linear actor and baseline, so that every feature of the paper can be written down.


def linear(size):
    """x -> x M, with M [S, size] (or [S] where size is None)."""
    shape = (S,) if size is None else (S, size)

    def apply(variables, obs):
        return obs @ variables["m"]

    def init(key, *x):
        return {"m": jax.random.normal(key, shape)}

    return Network(init, apply, lambda variables, obs: (apply(variables, obs), {}))


CONFIG = COPDACConfig(
    actor_lr=ALPHA_THETA, critic_lr=ALPHA_W, correction_lr=ALPHA_U, discount=GAMMA, optimizer="sgd", norm="none"
)


def paper(method, theta, w, v, u, batch):
    """One update in NumPy, batch-averaged; losses are squares, so steps are twice the paper's, the actor's excepted.

    φ(s, a) is the critic's gradient: ∇θμ(s) (a - μ(s)) for w, an outer product here, and s for v.
    """
    s, a, d, s2 = (np.asarray(x, np.float64) for x in (batch.obs, batch.action, batch.discount, batch.next_obs))

    def phi(s, a):
        return np.einsum("bi,bj->bij", s, a - s @ theta), s

    def dot(features, one, two):
        return np.einsum("bij,ij->b", features[0], one) + features[1] @ two

    here, there = phi(s, a), phi(s2, s2 @ theta)
    assert np.abs(there[0]).max() == 0  # the advantage of μ's own action is 0

    def delta(w, v):
        return batch.reward + GAMMA * d * dot(there, w, v) - dot(here, w, v)

    if method == "gq":
        error = delta(w, v) - dot(here, *u)
        u = tuple(p + 2 * ALPHA_U * np.tensordot(error, f, 1) / B for p, f in zip(u, here, strict=True))
    fix = GAMMA * d * dot(here, *u) if method == "gq" else np.zeros(B)
    error = delta(w, v)
    w, v = (
        p + 2 * ALPHA_W * (np.tensordot(error, f, 1) - np.tensordot(fix, f2, 1)) / B
        for p, f, f2 in zip((w, v), here, there, strict=True)
    )
    theta = theta + ALPHA_THETA * np.einsum("bi,bj->ij", s, s @ w) / B  # ∇θμ(s) (∇θμ(s)ᵀ w)
    return theta, w, v, u


@pytest.mark.parametrize("method", ["q", "gq"])
def test_three_updates_are_those_of_the_paper(method, data):
    """θ, w, v and u, each from the equation with its name."""
    batch = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), data[2])
    agent = {"q": copdac_q, "gq": copdac_gq}[method](CONFIG, TOY, linear(A), linear(None))
    learner, update = agent.init(KEY), jax.jit(agent.update)
    assert ("correction" in learner.params) == (method == "gq")
    theta, v = (np.asarray(tree["m"]) for tree in (learner.params["actor"], learner.params["critic"]["v"]))
    w, u = np.zeros((S, A)), (np.zeros((S, A)), np.zeros(S))
    for update_step in range(3):
        learner, _ = update(learner, batch, KEY, update_step)
        theta, w, v, u = paper(method, theta, w, v, u, batch)
    got, expected = learner.params, {"actor": {"m": theta}, "critic": {"w": {"m": w}, "v": {"m": v}}}
    expected |= {"correction": {"w": {"m": u[0]}, "v": {"m": u[1]}}} if method == "gq" else {}
    chex.assert_trees_all_close(got, expected, rtol=1e-4, atol=1e-6)


def test_it_begins_without_an_advantage():
    """w = 0: Q is V whatever the action, and the actor does not move before the critic has."""
    agent = copdac_q(COPDACConfig(hidden=(8,)), TOY)
    learner, obs = agent.init(KEY), jnp.ones((4, S))
    q = [agent.value(learner, obs, jnp.full((4, A), a)) for a in (-1.0, 0.5)]
    np.testing.assert_array_equal(*q)
