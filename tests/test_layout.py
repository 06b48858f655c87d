"""Many seeds: the same states whatever the mapping, and each where it belongs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import slow

from ddpg_jax import DDPGConfig, LoopConfig, make_env
from ddpg_jax.devices.layout import Layout, choose_mapping, fits_one_thread, usable_devices
from ddpg_jax.runs.programs import make_programs

if len(jax.devices()) < 2:
    pytest.skip("needs two devices", allow_module_level=True)
KEYS = jax.vmap(jax.random.key)(jnp.arange(4))


@functools.cache
def trained(mapping, devices):
    """Final states, metrics and evaluations of four seeds."""
    env = make_env("lqr", episode_length=7)
    loop = LoopConfig(num_envs=2, batch_size=4, replay_capacity=20, warmup_steps=10)
    config = DDPGConfig(hidden=(4, 4))
    phases = make_programs(env, "ddpg", loop, 2, Layout(mapping, devices))
    state, metrics = phases.chunk(phases.start(KEYS, config), 5, 20, config)
    return state, metrics, phases.evaluate((state.learner, KEYS, {}), 30, config)[0]


@pytest.mark.parametrize("way", [*slow(("sequential", 1)), ("vmap", 2), ("sequential", 2)])
def test_every_mapping_trains_the_same_seeds(way):
    """States, metrics and evaluations, to rounding."""

    def same(ours, theirs):
        if jax.dtypes.issubdtype(ours.dtype, jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)

    jax.tree.map(same, trained(*way), trained("vmap", 1))


@pytest.mark.parametrize("mapping", ["vmap", "sequential"])
def test_seeds_are_dealt_to_devices(mapping):
    ring = trained(mapping, 2)[0].memory["float32"]
    assert [shard.data.shape[0] for shard in ring.addressable_shards] == [2, 2]
    assert len({shard.device for shard in ring.addressable_shards}) == 2


def test_seeds_differ():
    returns = np.asarray(trained("sequential", 2)[2].returns)
    assert len({row.tobytes() for row in returns}) == 4


def test_share_deals_evenly():
    assert [usable_devices(seeds, 4) for seeds in (1, 2, 3, 4, 5, 6, 8)] == [1, 2, 3, 4, 1, 3, 4]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators batch")
def test_large_products_take_turns_on_a_cpu():
    assert choose_mapping(8, 256, (256, 256), False) == "sequential"
    assert choose_mapping(8, 64, (64, 64), False) == "vmap"
    assert choose_mapping(8, 16, (64, 64), True) == "sequential"
    assert choose_mapping(8, 64, (), False) == "vmap"


def test_one_thread_is_for_small_products_and_few_environments():
    assert fits_one_thread(1, 64, (64, 64), False)
    assert not fits_one_thread(1024, 64, (64, 64), False)
    assert not fits_one_thread(1, 256, (256, 256), False)
    assert not fits_one_thread(1, 16, (64, 64), True)


def test_a_single_seed_has_no_batch_dimension():
    assert choose_mapping(1, 64, (64, 64), False) == "sequential"
