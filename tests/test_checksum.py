"""checksum.py: what differs has another sum; how it lies on devices does not matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from ddpg_jax.runs.checksum import bit_sum, json_checksum

TREE = {
    "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "b": np.array([True, False]),
    "c": np.arange(6, dtype=np.uint8),
    "d": np.int32(-3),
}


def by_hand(tree):
    """The same sum in Python's integers."""
    total = 0
    for number, leaf in enumerate(tree[name] for name in sorted(tree)):
        flat = np.asarray(leaf).ravel()
        words = flat if flat.dtype.itemsize == 1 else flat.view(np.uint32)
        places = [number + place for place in range(len(words))]
        parts = sum(int(word) * (2 * place + 1) for word, place in zip(words, places, strict=True))
        total += (2 * number + 1) * parts
    return total % 2**32


def test_the_sum_by_hand():
    assert int(bit_sum(TREE)) == by_hand(TREE)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["a", "c", "d"]), st.integers(0, 23), st.integers(0, 31))
def test_a_flipped_bit_changes_it(name, place, bit):
    flipped = np.array(TREE[name])
    words = flipped.reshape(-1).view(np.uint8 if flipped.dtype.itemsize == 1 else np.uint32)
    words[place % len(words)] ^= words.dtype.type(1 << bit % (8 * words.itemsize))
    assert int(bit_sum(TREE | {name: flipped})) != int(bit_sum(TREE))


@pytest.mark.parametrize("name", ["a", "c"])
def test_what_has_changed_places_changes_it(name):
    turned = np.ascontiguousarray(TREE[name][::-1])
    assert int(bit_sum(TREE | {name: turned})) != int(bit_sum(TREE))


def test_arrays_that_have_changed_places_change_it():
    one, other = np.float32([1, 2]), np.float32([3, 4])
    assert int(bit_sum([one, other])) != int(bit_sum([other, one]))


def test_it_does_not_depend_on_devices():
    mesh = jax.make_mesh((8,), ("x",))
    array = jnp.arange(64.0).reshape(16, 4)
    for spec in (PartitionSpec("x"), PartitionSpec()):
        assert int(bit_sum(jax.device_put(array, NamedSharding(mesh, spec)))) == int(bit_sum(array))


def test_a_json_checksum_does_not_depend_on_the_order_of_names():
    assert json_checksum({"a": 1, "b": [2.5, None]}) == json_checksum({"b": [2.5, None], "a": 1})
    assert json_checksum({"a": 1}) != json_checksum({"a": 2})
