"""core/prioritized.py: probabilities, weights and priorities against NumPy in float64, and in the training loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from test_loop import ENV, LOOP
from test_replay import IN_PLACE, images, numbered, replay_sized
from toys import counting, pixels, slow_but_for, spec

from ddpg_jax import DDPGConfig, SettingError, ddpg, td3, trainer
from ddpg_jax.algorithms.td3 import TD3Config
from ddpg_jax.core.agent import td_error
from ddpg_jax.core.networks import Actor, Critic, Shape, network
from ddpg_jax.core.prioritized import prioritized_replay
from ddpg_jax.core.replay import ring_of, uniform_replay
from ddpg_jax.core.sum_tree import leaves_at
from ddpg_jax.devices.layout import loop_over_seeds, vmap_seeds

KEY, N, CAPACITY, B = jax.random.key(0), 3, 24, 16
ALPHA, BETA, EPSILON = 0.7, 0.5, 0.01
SPEC = spec((2,), 3)
memory = partial(prioritized_replay, alpha=ALPHA, beta=BETA, epsilon=EPSILON)


def filled(made, steps):
    data = made.init()
    for step in range(steps):
        data = made.add(data, step, numbered(step * N + np.arange(N), np.float32))
    return data


def test_probabilities_weights_and_priorities_are_those_of_the_paper():
    """Before and after TD errors came back, in a ring that has wrapped; rewards number the transitions."""
    many, few = (memory(SPEC, N, CAPACITY, size) for size in (100_000, B))
    steps, rng = 11, np.random.default_rng(0)
    stored = np.arange(steps * N - CAPACITY, steps * N)
    priority = dict.fromkeys(stored.tolist(), 1.0)  # of what is new: the largest so far
    data, learn = filled(many, steps), jax.jit(few.prioritize)
    for _ in range(4):
        batch = few.sample(data, steps, KEY)
        error = np.float32(rng.normal(size=B))[
            np.unique(batch.reward, return_inverse=True)[1]
        ]  # equal for the same one
        data = learn(data, batch.index, jnp.asarray(error))
        for name, e in zip(np.asarray(batch.reward, int).tolist(), error.astype(np.float64), strict=True):
            priority[name] = (abs(e) + EPSILON) ** ALPHA
    assert len(set(priority.values())) > CAPACITY // 2

    batch = many.sample(data, steps, jax.random.key(1))
    chance = np.array([priority[name] for name in stored]) / sum(priority.values())
    drawn = np.asarray(batch.reward, int) - stored[0]
    assert scipy.stats.chisquare(np.bincount(drawn), chance * len(drawn)).pvalue > 0.01
    weight = (CAPACITY * chance[drawn]) ** -BETA
    np.testing.assert_allclose(batch.weight, weight / weight.max(), rtol=2e-6)
    np.testing.assert_array_equal(batch.obs, numbered(np.asarray(batch.reward, int), np.float32).obs)

    row = many.add(data, steps, numbered(steps * N + np.arange(N), np.float32))
    new = leaves_at(row.priorities, steps % (CAPACITY // N) * N + jnp.arange(N))
    np.testing.assert_allclose(new, max(1.0, *priority.values()), rtol=1e-6)


@pytest.mark.slow
def test_without_exponents_it_is_a_uniform_replay():
    """α = 0 makes all priorities 1, and so all weights, whatever the errors."""
    made = prioritized_replay(SPEC, N, CAPACITY, 50_000, alpha=0.0)
    data = filled(made, 5)
    data = made.prioritize(data, jnp.arange(4), jnp.array([0.0, 1.0, 50.0, 1e30]))
    batch = made.sample(data, 5, KEY)
    np.testing.assert_array_equal(batch.weight, 1)
    counts = np.bincount(np.asarray(batch.reward, int))
    assert len(counts) == 15
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_errors_that_are_not_finite_do_not_break_the_tree():
    made = memory(SPEC, N, CAPACITY, 1000)
    data = made.prioritize(filled(made, 5), jnp.arange(3), jnp.array([np.nan, np.inf, 1e38]))
    batch = made.sample(data, 5, KEY)
    assert np.isfinite(batch.weight).all()
    assert set(np.unique(batch.index)) == {0, 1, 2}


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("kind", ["numbers", "images"])
def test_a_sample_is_that_of_a_uniform_replay(kind, n_step):
    """The same transition in every field, n-step returns and images too; what cannot be drawn yet is not."""
    env = images(pixels) if kind == "images" else counting(pixels)
    steps, made = 13, [make(env.spec, 1, 9, 2000, n_step, 0.9) for make in (prioritized_replay, uniform_replay)]
    data = [one.init() for one in made]
    state = env.reset(KEY)
    for step in range(steps):
        state, transition = env.step(KEY, state, jnp.zeros(1))
        transition = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], transition.replace(reward=jnp.float32(step)))
        data = [one.add(held, step, transition) for one, held in zip(made, data, strict=True)]
    mine, theirs = (one.sample(held, steps, KEY) for one, held in zip(made, data, strict=True))
    fields = ("obs", "action", "reward", "discount", "truncated", "next_obs")
    rows = [
        np.unique(np.concatenate([np.reshape(getattr(batch, f), (2000, -1)) for f in fields], 1).astype(float), axis=0)
        for batch in (mine, theirs)
    ]
    np.testing.assert_array_equal(*rows)
    assert len(rows[0]) == 9


def test_td_errors_are_those_of_the_updated_learner():
    """r c + γ d Q(s', μ(s')) - Q(s, a), by the agent's own functions, with normalized observations."""
    config = TD3Config(hidden=(4,), reward_scale=3.0, discount=0.8, normalize_obs=True)
    agent = td3(config, ENV.spec)
    learner = agent.init(KEY)
    learner = learner.replace(normalizer=learner.normalizer.replace(mean=jnp.ones(2)))
    obs, following = jax.random.normal(KEY, (2, 5, 2))
    batch = numbered(np.arange(5), np.float32).replace(obs=obs, next_obs=following, action=jnp.zeros((5, 2)))
    batch = batch.replace(discount=jnp.array([1.0, 0, 1, 0, 1]))
    value = agent.value(learner, following, agent.act(learner, following))
    expected = 3 * batch.reward + 0.8 * batch.discount * value - agent.value(learner, obs, batch.action)
    np.testing.assert_allclose(td_error(agent, learner, batch), expected, rtol=1e-5)


def test_in_the_loop_priorities_follow_the_errors():
    """After an update those of its transitions are the TD errors of the new parameters; others stay at the largest."""
    loop = LOOP.replace(updates_per_step=1)
    agent = ddpg(DDPGConfig(hidden=(8,)), ENV.spec, memory=partial(prioritized_replay, alpha=1.0, epsilon=EPSILON))
    run = trainer(ENV, agent, loop)
    state = jax.jit(lambda key: run.prefill(run.init(key)))(KEY)
    after = jax.jit(run.train)(state, run.warmup, 1)[0]
    found = after.memory.priorities[0].ravel()[: (run.warmup + 1) * loop.num_envs]
    index = jnp.flatnonzero(found != 1)
    assert 4 <= len(index) <= loop.batch_size
    batch = ring_of(ENV.spec, loop.num_envs, loop.replay_capacity).transition(
        after.memory.ring, index // loop.num_envs, index % loop.num_envs
    )
    error = np.abs(td_error(agent, after.learner, batch))
    np.testing.assert_allclose(found[index], error + EPSILON, rtol=1e-4, atol=1e-5)


CHUNKS = {"seeds": (ENV, 2, 1), "one seed": (ENV, 1, 2), "images": (images(pixels), 1, 1)}


@pytest.mark.parametrize("chunk", slow_but_for(CHUNKS, "seeds"))
def test_the_compiled_chunk_never_copies_the_ring(chunk):
    """Nor the priorities; a CPU writes single leaves in a function of their own, in place."""
    env, seeds, updates = CHUNKS[chunk]
    loop = LOOP.replace(num_envs=1, replay_capacity=12347, batch_size=4, updates_per_step=updates)
    flat = Shape(1, (4,))
    networks = network(Actor(env.spec.action_size, flat)), network(Critic(flat))
    run = trainer(env, ddpg(DDPGConfig(), env.spec, *networks, memory=prioritized_replay), loop)
    state = jax.eval_shape(jax.vmap(run.init), jax.random.split(KEY, seeds))
    over = vmap_seeds if seeds > 1 else loop_over_seeds
    compiled = jax.jit(over(run.train), donate_argnums=0).lower(state, jnp.int32(8), jnp.int32(5)).compile()
    rings = [leaf for leaf in jax.tree.leaves(state.memory) if leaf.size > 12000]
    assert len(rings) >= 2
    written = {"call"} if jax.__version_info__ < (0, 11) else set()  # later versions fuse it with what is in place
    assert replay_sized(compiled.as_text(), rings) - IN_PLACE == written
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 12000


@pytest.mark.parametrize("wrong", [{"alpha": -0.1}, {"beta": -1}, {"epsilon": 0.0}, {"alpha": float("nan")}])
def test_exponents_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(SettingError, match=f"{next(iter(wrong))} must be"):
        prioritized_replay(SPEC, N, CAPACITY, B, **wrong)
