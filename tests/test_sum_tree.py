"""core/sum_tree.py: against a NumPy array of all leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import slow

from ddpg_jax.core import sum_tree
from ddpg_jax.core.sum_tree import FAN, LEVELS, draw, empty_tree, leaves_at, total, write_each, write_ranges

SIZES = [3, 128, 300, 17_000]  # one node, a full one, two levels, three
B = 64
PRIORITIES = st.floats(0, 2**60, width=32) | st.sampled_from([0.0, 1.0, 1e-30, 1e28])
write_block = jax.jit(lambda tree, start, values: write_ranges(tree, (start, values)))
write_some, drawn = jax.jit(write_each), jax.jit(draw)


def check(tree, leaves):
    """Every level is the sum of the one below, to rounding, and 0 exactly where it has to be."""
    sums = np.asarray(leaves, np.float64)
    for level in tree:
        padded = np.zeros(level.size)
        padded[: len(sums)] = sums
        np.testing.assert_allclose(level.ravel(), padded, rtol=1e-6)
        sums = padded.reshape(-1, FAN).sum(axis=1)
    assert sums.shape == (1,)
    np.testing.assert_allclose(total(tree), sums[0], rtol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(SIZES), st.integers(0, 2**31), st.data())
def test_writes_are_those_of_an_array(size, seed, data):
    """Of a range and of single leaves, among them the same one twice, of which the larger counts."""
    rng, tree, leaves = np.random.default_rng(seed), empty_tree(size), np.zeros(size, np.float32)
    for _ in range(4):
        width = data.draw(st.sampled_from([1, 3]))
        start = int(rng.integers(size - width + 1))
        values = np.array(data.draw(st.lists(PRIORITIES, min_size=width, max_size=width)), np.float32)
        tree, leaves[start : start + width] = write_block(tree, start, jnp.asarray(values)), values
        index = rng.integers(size, size=B)
        values = np.float32(rng.exponential(size=B))
        tree = write_some(tree, jnp.asarray(index), jnp.asarray(values))
        leaves[index] = 0
        np.maximum.at(leaves, index, values)
    np.testing.assert_array_equal(leaves_at(tree, jnp.arange(size)), leaves)
    check(tree, leaves)


def test_a_wide_range_is_written_where_it_begins():
    """One of 300 leaves, which touches four nodes, and another one, part of which is in the same nodes."""
    tree = write_ranges(empty_tree(17_000), (1100, jnp.arange(1.0, 301)), (1390, jnp.full(150, 7.0)))
    leaves = np.zeros(17_000)
    leaves[1100:1400] = np.arange(1, 301)
    leaves[1390:1540] = 7
    np.testing.assert_array_equal(tree[0].ravel()[:17_000], leaves)
    check(tree, leaves)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.integers(0, 299), PRIORITIES, min_size=1), st.sampled_from([0.0, 0.5, 1 - 2**-24]), st.booleans()
)
def test_a_leaf_of_zero_is_never_drawn(values, number, among_others):
    """However the numbers fall and sums are rounded, at both ends of the range of random numbers, too."""
    leaves = np.float32(np.random.default_rng(len(values)).exponential(size=300) * among_others)
    leaves[150:250] = 0
    leaves[list(values)] = list(values.values())
    leaves[0] = max(leaves[0], 1e-30)
    tree = write_block(empty_tree(300), 0, jnp.asarray(leaves))
    uniform = np.random.default_rng(0).uniform(size=(LEVELS, B)).astype(np.float32)
    uniform[:, : B // 2] = number
    index = np.asarray(drawn(tree, np.minimum(uniform, np.float32(1 - 2**-24))))
    assert ((index >= 0) & (index < 300)).all()
    assert (leaves[index] > 0).all()


def test_a_leaf_of_zero_is_not_drawn_where_rounded_sums_grow_over_it():
    """Each sum is added in an order of its own, so one with a 0 more may differ in its last bit."""
    values = np.float32(np.random.default_rng(0).exponential(size=(50, FAN)))
    values[:, 1::2] = 0
    above = np.asarray(sum_tree._running_sums(jnp.asarray(values)))
    row, place = np.nonzero((values[:, 1:] == 0) & (above[:, 1:] > above[:, :-1]))
    low, high, total_of_row = above[row, place], above[row, place + 1], above[row, -1]
    number = low / total_of_row
    number = np.where(number * total_of_row < low, np.nextafter(number, np.float32(1)), number)
    hit = (low <= number * total_of_row) & (number * total_of_row < high)  # where the first sum above is that of a 0
    assert hit.sum() > 20
    child = sum_tree._child(jnp.asarray(values[row[hit]]), jnp.asarray(number[hit]))
    assert (values[row[hit], child] > 0).all()


@pytest.mark.parametrize("size", [300, *slow(17_000)])
def test_leaves_are_drawn_in_proportion(size):
    """Chi-square over 50,000 draws, with probabilities in float64; leaves are put together in groups of 100."""
    rng = np.random.default_rng(1)
    leaves = np.float32(rng.exponential(size=size) * (rng.random(size) < 0.8))
    tree = write_block(empty_tree(size), 0, jnp.asarray(leaves))
    index = np.asarray(drawn(tree, jax.random.uniform(jax.random.key(2), (LEVELS, 50_000))))
    group = rng.permutation(size) // 100
    expected = np.bincount(group, np.float64(leaves)) / np.float64(leaves).sum() * len(index)
    assert scipy.stats.chisquare(np.bincount(group[index], minlength=len(expected)), expected).pvalue > 0.01


def test_small_leaves_of_a_large_tree_are_all_reached():
    """Of 2,097,152 equal ones, for which a single random number in float32 would have 3 bits left."""
    tree = write_block(empty_tree(2**21), 0, jnp.ones(2**21))
    index = np.asarray(drawn(tree, jax.random.uniform(jax.random.key(3), (LEVELS, 50_000))))
    assert scipy.stats.chisquare(np.bincount(index % 16)).pvalue > 0.01
    assert len(np.unique(index)) > 49_000
