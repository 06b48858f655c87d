"""replay.py: against a list of what was written, by counting draws, and in the compiled program."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import clock, counting, pixels, spec

from ddpg_jax import DDPGConfig, LoopConfig, ddpg, make_env, trainer
from ddpg_jax.core.networks import Actor, Critic, Shape, network
from ddpg_jax.core.replay import latest, stored_transitions, uniform_replay
from ddpg_jax.core.settings import SettingError
from ddpg_jax.core.types import Transition
from ddpg_jax.devices.layout import loop_over_seeds, vmap_seeds

KEY = jax.random.key(0)


def numbered(ids, dtype):
    """Transitions that can be told from one another by any single field."""
    ids = jnp.asarray(ids)
    f = ids.astype(jnp.float32)
    return Transition(
        obs=jnp.stack([ids, ids + 1], -1).astype(dtype),
        action=jnp.stack([f, -f, 2 * f], -1),
        reward=f,
        discount=-f,
        truncated=ids % 2 == 0,
        next_obs=jnp.stack([ids + 2, ids + 3], -1).astype(dtype),
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3), compiler_options={"xla_backend_optimization_level": 0})
def fill_and_sample(num_envs, capacity, batch_size, dtype, steps):
    """The ring's transitions after `steps` vector steps, numbered from 1 (unwritten ones are 0), and one minibatch."""
    memory = uniform_replay(spec((2,), 3, dtype), num_envs, capacity, batch_size)

    def step(clock, ring):
        return memory.add(ring, clock, numbered(clock * num_envs + 1 + jnp.arange(num_envs), dtype))

    ring = jax.lax.fori_loop(0, steps, step, memory.init())
    stored = stored_transitions(spec((2,), 3, dtype), num_envs, capacity, ring)
    return stored, memory.sample(ring, steps, KEY)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 12), st.sets(st.integers(1, 30), min_size=5, max_size=5))
def test_the_ring_holds_the_newest_and_samples_all_of_them(num_envs, capacity, saved_steps):
    """`capacity` transitions or a few more; the oldest row goes first, an empty one is never drawn."""
    for steps in saved_steps:
        ring, batch = fill_and_sample(num_envs, capacity, 2048, np.dtype(np.float32), steps)
        stored = ring.reward.reshape(-1, num_envs)
        rows = len(stored)
        assert (rows - 1) * num_envs < capacity <= rows * num_envs
        kept = range(max(0, steps - rows), steps)
        for step in kept:
            np.testing.assert_array_equal(stored[step % rows], step * num_envs + 1 + np.arange(num_envs))
        np.testing.assert_array_equal(np.unique(batch.reward), 1 + np.arange(kept.start * num_envs, steps * num_envs))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int32])
def test_fields_of_a_sample_belong_together_and_keep_their_dtype(dtype):
    """Each drawn row is one transition as it was written."""
    ring, batch = fill_and_sample(5, 33, 400, np.dtype(dtype), 20)
    expected = numbered(np.asarray(batch.reward, np.int32), dtype)
    chex.assert_trees_all_equal(batch, expected)
    for stored in (ring, batch):
        assert stored.obs.dtype == stored.next_obs.dtype == dtype
        assert stored.truncated.dtype == bool
        assert stored.action.dtype == stored.reward.dtype == stored.discount.dtype == np.float32
    assert batch.obs.shape == (400, 2)


@pytest.mark.parametrize("steps", [4, 11], ids=["partly filled", "wrapped"])
def test_every_transition_is_as_likely_as_any_other(steps):
    """Chi-square over 100,000 draws."""
    _, batch = fill_and_sample(5, 40, 100_000, np.dtype(np.float32), steps)
    counts = np.unique(batch.reward, return_counts=True)[1]
    assert len(counts) == 5 * min(steps, 8)
    assert scipy.stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("make", [uniform_replay, latest])
@pytest.mark.parametrize("field", ["obs", "action", "reward", "discount", "truncated", "next_obs"])
def test_transitions_of_another_shape_are_refused(make, field):
    """A dimension too many would be written over rows that it does not belong to."""
    memory = make(spec((2,), 3), 5, 40, 8)
    good = numbered(np.arange(5), np.float32)
    jax.eval_shape(memory.add, memory.init(), 0, good)
    bad = good.replace(**{field: getattr(good, field)[None]})
    with pytest.raises(AssertionError):
        jax.eval_shape(memory.add, memory.init(), 0, bad)


CAPACITY = 12347  # unlike any other number in the program


def compiled_chunk(env, updates, n_step=1, over=vmap_seeds, seeds=2):
    """The training chunk as it runs: seeds side by side or in turn, one clock, the state donated."""
    loop = LoopConfig(
        batch_size=4,
        replay_capacity=CAPACITY - env.spec.image,
        warmup_steps=8,
        updates_per_step=updates,
        n_step=n_step,
    )
    flat = Shape(1, (4,))
    agent = ddpg(
        DDPGConfig(normalize_obs=n_step > 1 and not env.spec.image),
        env.spec,
        network(Actor(1, flat)),
        network(Critic(flat)),
    )
    run = trainer(env, agent, loop)
    state = jax.eval_shape(jax.vmap(run.init), jax.random.split(KEY, seeds))
    chunk = jax.jit(over(run.train), donate_argnums=0)
    rings = [leaf for leaf in jax.tree.leaves(state.memory) if leaf.size > CAPACITY]
    return chunk.lower(state, jnp.int32(8), jnp.int32(5)).compile(), rings


IN_PLACE = {"parameter", "get-tuple-element", "tuple", "while", "bitcast", "fusion", "dynamic-update-slice", "scatter"}


def replay_sized(text, rings):
    """The operations, those inside fusions too, whose result has the shape of a ring, of one seed or of all."""
    sizes = [",".join(map(str, ring.shape[1:])) + "]" for ring in rings]
    results = (re.search(r" = (.*?)[ )]([a-z-]+)\(", line) for line in text.splitlines())
    return {
        operation for shape, operation in (r.groups() for r in results if r) if any(size in shape for size in sizes)
    }


def images(observe):
    """The environment, its observations declared to be images."""
    env = counting(observe)
    return env._replace(spec=env.spec._replace(image=True))


CHUNKS = {
    "one update": (counting(clock()), 1),
    "one seed": (make_env("Pendulum-v1"), 1, 1, loop_over_seeds, 1),
    "three updates": (counting(clock()), 3),
    "bytes": (counting(pixels), 1),
    "several steps": (counting(clock()), 1, 3),
    "images": (images(pixels), 1),
    "images, several steps": (images(pixels), 3, 3),
}


@pytest.mark.parametrize("chunk", CHUNKS)
def test_the_compiled_chunk_never_copies_the_replay(chunk):
    """No copy, no select, no room for a second one, and nothing that visits the host."""
    compiled, rings = compiled_chunk(*CHUNKS[chunk])
    text, memory = compiled.as_text(), compiled.memory_analysis()
    assert {"parameter", "while"} < replay_sized(text, rings)
    assert replay_sized(text, rings) - IN_PLACE == set()
    assert "callback" not in text
    assert memory.temp_size_in_bytes < 4 * CAPACITY  # less than one field of one seed
    assert memory.alias_size_in_bytes > 0.99 * memory.output_size_in_bytes


@pytest.mark.parametrize(
    ("program", "operation"),
    [
        (lambda full, one, two: one.at[0].set(1.0), "copy"),  # not donated
        (lambda full, one, two: jax.vmap(jnp.where)(full, one, two), "select"),  # seeds that differ
    ],
)
def test_a_copy_would_be_seen(program, operation):
    """The reader above finds one where there is one."""
    ring, full = jax.ShapeDtypeStruct((2, CAPACITY, 8, 128), jnp.float32), jax.ShapeDtypeStruct((2,), bool)
    assert operation in replay_sized(jax.jit(program).lower(full, ring, ring).compile().as_text(), [ring])


def test_all_transitions_are_not_given_of_images():
    """Their successors cannot be told from the row alone."""
    images = spec((4, 4, 1), 1)._replace(image=True)
    with pytest.raises(SettingError, match=r"obs_shape must be that of vectors, not \(4, 4, 1\)"):
        stored_transitions(images, 1, 10, None)
