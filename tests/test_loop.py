"""train.py: seeds under vmap, randomness, counts, compilation, and means that are exact."""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from toys import counting, pixels, spec, wandering

from ddpg_jax import DDPGConfig, LoopConfig, SettingError, ddpg, train, trainer
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.loop import chunk_bounds, fitted_replay
from ddpg_jax.core.metrics import means
from ddpg_jax.core.replay import stored_transitions, uniform_replay
from ddpg_jax.core.types import Agent, Explorer, Learner

LENGTH, SEEDS, WARMUP, STEPS = 7, 3, 17, 37  # the last two in vector steps
ENV = wandering(LENGTH)
LOOP = LoopConfig(num_envs=3, updates_per_step=2, batch_size=8, replay_capacity=300, warmup_steps=50, pool_size=4)
CONFIG = DDPGConfig(hidden=(8,), tau=0.1)
KEYS = jax.random.split(jax.random.key(0), SEEDS)
BOUNDS = chunk_bounds(WARMUP, STEPS, 2)
stored = functools.partial(stored_transitions, ENV.spec, LOOP.num_envs, LOOP.replay_capacity)
QUICKLY = {"xla_backend_optimization_level": 0}  # these programs take longer to compile than to run


def batched(**changes):
    """The settings once per seed, some of them changed [S]."""
    leaves = CONFIG.replace(**changes)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.float32(leaf), (SEEDS,)), leaves)


@pytest.fixture(scope="module")
def start():
    """keys [S] -> states [S], after the warm-up."""
    run = trainer(ENV, ddpg(CONFIG, ENV.spec), LOOP)
    return jax.jit(jax.vmap(lambda key: run.prefill(run.init(key))), compiler_options=QUICKLY)


@pytest.fixture(scope="module")
def chunk():
    """(settings [S], states [S], clock, length) -> states [S], metrics [S]."""

    def one(config, state, clock, length):
        return trainer(ENV, ddpg(config, ENV.spec), LOOP).train(state, clock, length)

    return jax.jit(jax.vmap(one, in_axes=(0, 0, None, None)), donate_argnums=1, compiler_options=QUICKLY)


@pytest.fixture(scope="module")
def run(start, chunk):
    """settings [S] -> the states and metrics after every chunk of a run."""

    def play(config):
        state, metrics = start(KEYS), []
        for begin, end in pairwise(BOUNDS):
            state, measured = chunk(config, state, begin, end - begin)
            metrics.append(measured)
        return state, jax.tree.map(lambda *leaves: np.stack(leaves, 1), *metrics)  # [S, chunks]

    return play


@pytest.fixture(scope="module")
def finished(run):
    return run(batched())


def bits(tree):
    """All of a tree as NumPy arrays, keys too."""
    leaves = jax.tree.leaves(tree)
    return [np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x) for x in leaves]


def test_a_seed_is_the_same_alone_and_among_others(finished):
    """Seed i under vmap, chunk by chunk, is `train` with the same key in one piece."""
    states, totals = finished
    agent = ddpg(CONFIG, ENV.spec)
    one = jax.jit(lambda key: train(key, ENV, agent, LOOP, steps=STEPS * 3, chunks=2), compiler_options=QUICKLY)
    for i, key in enumerate(KEYS):
        state, metrics = one(key)
        alone = jax.tree.leaves((state.learner, metrics))
        among = jax.tree.leaves((states.learner, means(totals)))
        for mine, ours in zip(alone, among, strict=True):
            np.testing.assert_allclose(mine, ours[i], rtol=1e-3, atol=1e-5)
        seed = jax.tree.map(lambda leaf, i=i: leaf[i], states.memory)
        np.testing.assert_array_equal(stored(state.memory).obs[: WARMUP * 3], stored(seed).obs[: WARMUP * 3])
    assert len({float(q) for q in np.ravel(totals["critic/loss"][0])}) == 2 * SEEDS


def test_the_same_key_twice_is_the_same_run(run, finished):
    """To the last bit, replay and environments included."""
    again = bits(run(batched()))
    assert all(map(np.array_equal, again, bits(finished)))


def test_one_program_serves_every_length_and_every_number(chunk, start, finished):
    """Chunks of other lengths and settings of other values compile nothing; each phase was compiled once."""
    for length, lr in [(1, 0.1), (5, 0.2)]:
        chunk(batched(actor_lr=lr, noise_scale=lr), start(KEYS), WARMUP, length)
    assert chunk._cache_size() == 1
    assert start._cache_size() == 1


def test_a_batch_of_settings_is_a_sweep(run, start):
    """One step size per member: 0 keeps its actor where it was, and only the actor."""
    state, _ = run(batched(actor_lr=jnp.array([0.0, 1e-4, 1e-2])))
    before = start(KEYS).learner.params
    moved = {
        role: sum(jnp.abs(a - b).reshape(SEEDS, -1).sum(1) for a, b in zip(*map(jax.tree.leaves, pair), strict=True))
        for role, pair in {role: (state.learner.params[role], before[role]) for role in before}.items()
    }
    assert moved["actor"][0] == 0
    assert 0 < 10 * moved["actor"][1] < moved["actor"][2]
    assert (moved["critic"] > 0).all()


def test_warm_up_stores_uniform_actions_and_nothing_else(start):
    """As many vector steps as hold `warmup_steps`, consecutive, and no update."""
    state = start(KEYS)
    replay = jax.vmap(stored)(state.memory)
    assert replay.action.shape == (SEEDS, 100 * 3, 2)
    ring = jax.tree.map(lambda leaf: leaf.reshape(SEEDS, 100, 3, *leaf.shape[2:]), replay)
    assert (ring.action[:, :WARMUP] != 0).all()
    assert not any(leaf[:, WARMUP:].any() for leaf in jax.tree.leaves(ring))
    for dimension in range(2):
        drawn = np.ravel(ring.action[:, :WARMUP, :, dimension])
        assert scipy.stats.kstest(drawn, "uniform", (-1, 2)).pvalue > 0.01
    following = ring.obs[:, 1:WARMUP] == ring.next_obs[:, : WARMUP - 1]
    assert (following.all(-1) == ~ring.truncated[:, : WARMUP - 1]).all()
    assert (state.learner.opt_state["critic"][0].count == 0).all()


def test_updates_are_counted(finished):
    """Adam has taken `updates_per_step` steps per vector step after the warm-up, and so do the metrics say."""
    state, totals = finished
    for role in ("critic", "actor"):
        np.testing.assert_array_equal(state.learner.opt_state[role][0].count, [2 * (STEPS - WARMUP)] * SEEDS)
        np.testing.assert_array_equal(totals[f"{role}/loss"][1].sum(1), [2 * (STEPS - WARMUP)] * SEEDS)


def test_returns_and_lengths_are_exact(finished):
    """At reward 1 the return of an episode is its length; each is counted once, where it ends."""
    _, totals = finished
    ends = [sum((clock + 1) % LENGTH == 0 for clock in range(*span)) for span in pairwise(BOUNDS)]
    assert sum(ends) == 3
    for name in ("episode_return", "episode_length"):
        np.testing.assert_array_equal(totals[name][1], [[3 * n for n in ends]] * SEEDS)
        np.testing.assert_array_equal(totals[name][0], [[3 * n * LENGTH for n in ends]] * SEEDS)


def test_means():
    """Sum over count, and not a number where nothing happened."""
    np.testing.assert_array_equal(means({"x": (jnp.array([6.0, 0.0]), jnp.array([3.0, 0.0]))})["x"], [2.0, np.nan])


@given(st.integers(1, 50), st.integers(1, 200), st.integers(1, 30))
def test_chunks_cover_the_run(warmup, learning, chunks):
    """From the warm-up to the end without a gap, in pieces whose lengths differ by one at most."""
    bounds = chunk_bounds(warmup, warmup + learning, chunks)
    lengths = np.diff(bounds)
    assert (bounds[0], bounds[-1]) == (warmup, warmup + learning)
    assert len(lengths) == min(chunks, learning)
    assert lengths.min() >= 1
    assert np.ptp(lengths) <= 1


def watcher(update, explore=lambda learner, carry, obs, first, clock, key: (jnp.zeros((2, 1)), carry)):
    """An agent that learns nothing; `update` sees what it is given."""
    explorer = Explorer(lambda num_envs: (), explore)
    return Agent(lambda key: Learner({}, {}, {}), None, None, explorer, update, 0.9, uniform_replay)


@pytest.mark.parametrize("n_step", [1, 3])
def test_images_that_are_stored_once_keep_their_true_successor(n_step):
    """Through time limits and restarts, in the loop: whatever is drawn, its `next_obs` comes k steps after `obs`."""

    def update(learner, batch, key, update_step):
        gap = (batch.next_obs.astype(int) - batch.obs.astype(int)).max(axis=-1)
        cut = batch.truncated & (batch.next_obs.max(axis=-1) != LENGTH)
        wrong = (gap != jnp.round(batch.reward)) | cut
        return learner, {"wrong": (wrong.sum() + 0.0, wrong.size + 0.0), "cut": (batch.truncated.sum() + 0.0, 1.0)}

    env = counting(pixels, LENGTH)
    env = env._replace(spec=env.spec._replace(image=True))
    loop = LoopConfig(num_envs=2, batch_size=64, replay_capacity=22, warmup_steps=2, pool_size=1, n_step=n_step)
    run = trainer(env, watcher(update)._replace(discount=1.0), loop)
    state = jax.jit(lambda key: run.prefill(run.init(key)))(KEYS[0])
    _, metrics = jax.jit(run.train)(state, run.warmup, 60)
    assert metrics["wrong"][0] == 0
    assert metrics["cut"][0] > 100


def test_noise_begins_with_an_episode_and_after_the_warm_up():
    """The warm-up has no noise; where it ends within an episode, what follows does not continue any."""
    seen = []

    def explore(learner, carry, obs, first, vector_step, key):
        jax.debug.callback(lambda *found: seen.append(found), vector_step, first)
        return jnp.zeros((2, 1)), carry

    def step(key, x, action):
        return x, x, 1.0, False, False

    env = env_from_functions(lambda key: (jnp.zeros(1), jnp.zeros(1)), step, spec((1,), 1, episode_length=3))
    loop = LoopConfig(num_envs=2, batch_size=1, replay_capacity=8, warmup_steps=4, pool_size=1)
    agent = watcher(lambda learner, batch, key, update_step: (learner, {}), explore)
    jax.block_until_ready(jax.jit(lambda key: train(key, env, agent, loop, steps=14, chunks=2))(KEYS[0]))
    jax.effects_barrier()
    begins = {int(vector_step): first.tolist() for vector_step, first in seen}
    assert begins == {step: [step in (2, 3, 6)] * 2 for step in range(2, 7)}


def test_an_update_draws_from_all_that_is_stored_and_nothing_else():
    """The step just taken is among it, the oldest leaves when its row is written again, and no row is empty."""

    def count(key, time, action):
        return time + 1, time[None] + 1, 1.0, False, False

    def update(learner, batch, key, update_step):
        seen = {"oldest": batch.next_obs.min(), "newest": batch.next_obs.max()}
        return learner, {name: (value, jnp.ones(())) for name, value in seen.items()}

    env = env_from_functions(lambda key: (jnp.zeros(()), jnp.zeros(1)), count, spec((1,), 1, episode_length=1000))
    loop = LoopConfig(num_envs=2, batch_size=256, replay_capacity=10, warmup_steps=3, pool_size=1)
    run = trainer(env, watcher(update), loop)
    state, step = jax.jit(lambda key: run.prefill(run.init(key)))(jax.random.key(0)), jax.jit(run.train)
    for clock in range(run.warmup, 9):
        state, metrics = step(state, clock, 1)
        assert metrics["newest"] == (clock + 1, 1)
        assert metrics["oldest"] == (max(1, clock - 3), 1)


def test_no_key_is_used_twice():
    """What resets, steps, explores and updates are given, and what each makes of it by a split, is never the same."""
    keys, ticks, key_data = [], [], jax.random.key_data

    def note(key, update_step=-1):
        jax.debug.callback(
            lambda key, update_step: (keys.append(key), ticks.append(int(update_step))), key_data(key), update_step
        )

    def reset(key):
        note(key)
        return jnp.zeros(1), jnp.zeros(1)

    def step(key, x, action):
        note(key)
        return x, x, 1.0, False, False

    def explore(learner, carry, obs, first, clock, key):
        note(key)
        return jnp.zeros((2, 1)), carry

    def update(learner, batch, key, update_step):
        note(key, update_step)
        return learner, {}

    env = env_from_functions(reset, step, spec((1,), 1, episode_length=3))
    loop = LoopConfig(num_envs=2, updates_per_step=3, batch_size=1, replay_capacity=8, warmup_steps=4, pool_size=6)
    whole = jax.jit(lambda key: train(key, env, watcher(update, explore), loop, steps=14, chunks=2))
    jax.block_until_ready(whole(jax.random.key(0)))
    jax.effects_barrier()
    assert sorted(update_step for update_step in ticks if update_step >= 0) == list(range(15))
    seen = jax.random.wrap_key_data(np.stack(keys))
    seen = jnp.concatenate([seen, jax.vmap(jax.random.split)(seen).ravel()])
    assert len(np.unique(jax.random.key_data(seen), axis=0)) == len(seen)


def test_a_run_has_no_larger_replay_than_it_fills():
    """Rounded up to whole vector steps; what is larger than its steps is not allocated."""
    loop = LoopConfig(num_envs=3, replay_capacity=100)
    assert [fitted_replay(loop, steps).replay_capacity for steps in (7, 9, 99, 100, 1000)] == [9, 9, 99, 100, 100]
    wide = LOOP.replace(replay_capacity=1_000_000)
    state, _ = jax.eval_shape(lambda: train(jax.random.key(0), ENV, ddpg(CONFIG, ENV.spec), wide, steps=400))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.memory)) < 10_000


def test_initial_states_have_the_precision_of_the_steps():
    """Those of the beginning, and those of the pool that is drawn anew for a chunk."""

    def reset(key):
        return jnp.zeros(2), jnp.eye(2) @ jax.random.normal(key, (2,))

    def step(key, x, action):
        return x, x, 1.0, False, False

    env = env_from_functions(reset, step, spec((2,), 1, episode_length=3))
    phases = trainer(env, watcher(lambda learner, batch, key, update_step: (learner, {})), LOOP.replace(num_envs=2))
    key = jax.random.key(0)
    for traced in (
        jax.jit(phases.init).lower(key),
        jax.jit(phases.train).lower(jax.eval_shape(phases.init, key), WARMUP, 1),
    ):
        text = traced.as_text()
        assert text.count("stablehlo.dot_general") == text.count("precision = [HIGHEST, HIGHEST]") > 0


def test_the_state_of_an_explorer_is_of_all_environments():
    """As several devices need it; one alone would do without."""
    agent = ddpg(CONFIG, ENV.spec)
    counting = agent._replace(
        explorer=agent.explorer._replace(init=lambda num_envs: (jnp.zeros(num_envs), jnp.ones(())))
    )
    with pytest.raises(
        SettingError, match=r"explorer must have a state \[N, ...\] for N = 2 .*, not one of shape \[\]"
    ):
        train(jax.random.key(0), ENV, counting, LoopConfig(num_envs=2), steps=2_000)


def test_settings_are_checked_before_they_are_used():
    with pytest.raises(SettingError, match="num_envs must be at least 1, not 0"):
        train(jax.random.key(0), ENV, ddpg(CONFIG, ENV.spec), LoopConfig(num_envs=0), steps=100)
