"""core/storage.py: rows of several fields in blocks, against a NumPy array for every field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpg_jax.core.storage import LANES, LINES, storage

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
    write, read = jax.jit(store.write), jax.jit(store.read, static_argnums=3)
    steps = rows - 2 + np.arange(written)
    data = store.init()
    for step in steps:
        data = write(data, step, jax.tree.map(jnp.asarray, values(step, num_envs)))
    step, env = np.repeat(steps[-rows:], num_envs), np.tile(np.arange(num_envs), len(steps[-rows:]))
    for names in [("a", "b", "c", "d"), ("b", "c"), ("d",), ("a",)]:
        found = read(data, jnp.asarray(step), jnp.asarray(env), names)
        assert set(found) == set(names)
        for name in names:
            expected = np.stack([values(s, num_envs)[name][e] for s, e in zip(step, env, strict=True)])
            assert found[name].dtype == FIELDS[name].dtype
            np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("num_envs", [1, 2, 10, 64, 100, 1024, 8192])
@pytest.mark.parametrize("width", [10, 12, 28, 65, 130, 300, 508])
def test_storage_fits_the_tiles_of_a_tpu(width, num_envs):
    """Its last dimensions are whole tiles, and little of it holds nothing."""
    rows = 1_000_000 // num_envs
    (table,) = jax.tree.leaves(
        jax.eval_shape(storage({"x": jax.ShapeDtypeStruct((width,), np.float32)}, rows, num_envs).init)
    )
    assert table.shape[-2] == LINES
    assert table.shape[-1] % LANES == 0
    assert 1 <= table.size / (rows * num_envs * width) < 1.14


@pytest.mark.parametrize("num_envs", [1, 3, 200])
def test_a_tpu_writes_and_reads_the_same(num_envs, monkeypatch):
    """Whole lines, into which a part is put and out of which it is cut."""
    store, rows = storage(FIELDS, 40, num_envs), 40

    def written():
        data = store.init()
        for step in range(50):
            data = store.write(data, step, jax.tree.map(jnp.asarray, values(step, num_envs)))
        return data

    data = written()
    step, env = jnp.repeat(jnp.arange(10, 50), num_envs), jnp.tile(jnp.arange(num_envs), rows)
    here = store.read(data, step, env, ("a", "c", "d"))
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, tpu, default: tpu(*args))
    there = store.read(data, step, env, ("a", "c", "d"))
    jax.tree.map(np.testing.assert_array_equal, (data, here), (written(), there))
