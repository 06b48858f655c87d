"""core/platforms.py and packing.py: the programs for GPUs compute what those for CPUs do, and vectors are undone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_divergence import treacherous
from toys import wandering

from ddpg_jax import DDPGConfig, LoopConfig, SACConfig, TD3Config, ddpg, sac, td3, trainer
from ddpg_jax.core.packing import pack, pack_bits
from ddpg_jax.core.platforms import loop_if

TREE = {
    "float": jnp.array([[1.5, -0.0, jnp.nan]]),
    "int": (jnp.int32(-7), jnp.zeros((0, 3), jnp.int32)),
    "unsigned": jnp.uint32(2**32 - 1),
    "bytes": jnp.arange(6, dtype=jnp.uint8).reshape(2, 3),
    "bool": jnp.array([True, False]),
    "key": jax.random.split(jax.random.key(3), 2),
}
LOOP = LoopConfig(num_envs=3, batch_size=8, replay_capacity=90, warmup_steps=30, pool_size=4)
CASES = {
    "ddpg": (ddpg, DDPGConfig(hidden=(8,), noise="ou", normalize_obs=True), LOOP),
    "td3": (td3, TD3Config(hidden=(8,)), LOOP),
    "sac, two updates": (sac, SACConfig(hidden=(8,)), LOOP.replace(updates_per_step=2)),
}


def bits(tree):
    leaves = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in tree]
    return [np.asarray(leaf).tobytes() for leaf in leaves]


@pytest.mark.parametrize("function", [pack, pack_bits])
def test_what_is_packed_comes_back_bit_by_bit(function):
    vectors, unpack = function(TREE)
    assert all(vector.ndim == 1 for vector in jax.tree.leaves(vectors))
    again = unpack(vectors)
    assert jax.tree.structure(again) == jax.tree.structure(TREE)
    assert [leaf.shape for leaf in jax.tree.leaves(again)] == [leaf.shape for leaf in jax.tree.leaves(TREE)]
    assert bits(jax.tree.leaves(again)) == bits(jax.tree.leaves(TREE))


def test_numbers_of_four_bytes_share_one_vector():
    assert pack_bits(TREE)[0]["int32"].size == 3 + 1 + 1 + 2 * 2  # keys are two numbers each


@pytest.mark.parametrize(("condition", "expected"), [(True, 6), (False, 3)])
def test_a_loop_runs_once_or_not_at_all(condition, expected):
    assert loop_if(jnp.array(condition), lambda x: 2 * x, jnp.int32(3)) == expected


def test_seeds_decide_for_themselves():
    both = jax.vmap(lambda condition, x: loop_if(condition, lambda x: 2 * x, x))(jnp.array([True, False]), jnp.ones(2))
    np.testing.assert_array_equal(both, [2, 1])


@pytest.fixture
def as_for_gpus(monkeypatch):
    """Makes the programs that follow those for GPUs, whatever they run on."""

    def choose():
        monkeypatch.setattr(
            jax.lax, "platform_dependent", lambda *args, cuda=None, default, **_: (cuda or default)(*args)
        )

    return choose


def trained(env, make, config, loop, seeds=2):
    """States and metrics of seeds after a chunk of 41 vector steps and one of 20."""
    run = trainer(env, make(config, env.spec), loop)
    start = jax.jit(jax.vmap(lambda key: run.prefill(run.init(key))))
    chunk = jax.jit(jax.vmap(run.train, in_axes=(0, None, None)), donate_argnums=0)
    state, first = chunk(start(jax.random.split(jax.random.key(0), seeds)), run.warmup, 41)
    state, second = chunk(state, run.warmup + 41, 20)
    return state, first, second


@pytest.mark.parametrize("case", CASES)
def test_programs_for_gpus_train_the_same(case, as_for_gpus):
    """States, replay, counts and metrics, to rounding."""
    here = trained(wandering(), *CASES[case])
    as_for_gpus()
    there = trained(wandering(), *CASES[case])
    assert jax.tree.structure(here) == jax.tree.structure(there)
    for mine, theirs in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
        assert mine.dtype == theirs.dtype
        if jnp.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, theirs = jax.random.key_data(mine), jax.random.key_data(theirs)
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-6)


def test_programs_for_gpus_keep_the_learner_of_a_diverged_seed(as_for_gpus):
    """Seeds 0 to 3 in one program, of which some diverge in the first chunk: these keep what they had, bit by bit."""
    env, loop = treacherous("reward"), LOOP.replace(num_envs=2, warmup_steps=20)
    as_for_gpus()
    run = trainer(env, ddpg(DDPGConfig(hidden=(4,)), env.spec), loop)
    keys = jax.random.split(jax.random.key(1), 4)
    before = jax.jit(jax.vmap(lambda key: run.prefill(run.init(key))))(keys)
    after = jax.jit(jax.vmap(run.train, in_axes=(0, None, None)))(before, run.warmup, 60)[0]
    diverged = np.asarray((before.env.env.obs[..., 0] > 0).any(axis=1))
    assert {True, False} == set(diverged.tolist())
    for old, new in zip(jax.tree.leaves(before.learner), jax.tree.leaves(after.learner), strict=True):
        same = (np.asarray(old) == np.asarray(new)).reshape(4, -1).all(axis=1)
        assert same[diverged].all()
    moved = [
        not np.array_equal(old[~diverged], new[~diverged])
        for old, new in zip(*map(jax.tree.leaves, (before.learner.params, after.learner.params)), strict=True)
    ]
    assert all(moved)
