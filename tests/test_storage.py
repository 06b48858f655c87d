"""core/storage.py: rows of several fields in blocks, against a NumPy array for every field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpg_jax.core.storage import LANES, storage

FIELDS = {
    "a": jax.ShapeDtypeStruct((2, 3), np.float32),
    "b": jax.ShapeDtypeStruct((), np.float32),
    "c": jax.ShapeDtypeStruct((), np.bool_),
    "d": jax.ShapeDtypeStruct((4,), np.uint8),
}


def values(step, num_envs):
    """The fields [N, ...] of a vector step, no two alike."""
    numbers = 100.0 * step + np.arange(num_envs * 6).reshape(num_envs, 2, 3)
    flags = (step + np.arange(num_envs)) % 3 == 0
    return {"a": numbers, "b": -numbers[:, 0, 0], "c": flags, "d": (numbers[:, 0, :1] + np.arange(4)) % 251}


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.sampled_from([1, 3, 16]), st.sampled_from([1, 5, 130, 1100]), st.integers(1, 4))
def test_what_is_read_is_what_was_written(num_envs, rows, written):
    """By all names and by some, wrapped round the ring or not."""
    store = storage(FIELDS, rows, num_envs)
    steps = rows - 2 + np.arange(written)
    data = store.init()
    for step in steps:
        data = store.write(data, step, jax.tree.map(jnp.asarray, values(step, num_envs)))
    step, env = np.repeat(steps[-rows:], num_envs), np.tile(np.arange(num_envs), len(steps[-rows:]))
    for names in [("a", "b", "c", "d"), ("b", "c"), ("d",), ("a",)]:
        found = store.read(data, jnp.asarray(step), jnp.asarray(env), names)
        assert set(found) == set(names)
        for name in names:
            expected = np.stack([values(s, num_envs)[name][e] for s, e in zip(step, env, strict=True)])
            assert found[name].dtype == FIELDS[name].dtype
            np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize(("rows", "num_envs"), [(100_000, 1), (98, 1024), (1000, 100)])
def test_blocks_are_whole_lanes_of_a_tpu(rows, num_envs):
    """And hardly any number is there for nothing."""
    for table in jax.tree.leaves(jax.eval_shape(storage(FIELDS, rows, num_envs).init)):
        numbers = {np.dtype(np.float32): 8, np.dtype(np.uint8): 4}[table.dtype]
        assert table.shape[1] % LANES == 0
        assert 1 <= table.size / (rows * num_envs * numbers) < 1.13


def test_a_short_ring_has_a_block_for_every_step():
    assert {table.shape[0] for table in jax.eval_shape(storage(FIELDS, 7, 3).init).values()} == {7}
