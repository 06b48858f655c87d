"""A tree of sums, by which numbers are drawn in proportion to their priorities (Schaul et al. 2016, appendix B.2.1).

A node has 128 children, a line of an accelerator's memory, and a tree has five levels, whatever its size. Each level is
an array [nodes, 128], the leaves first, and the last one has a single node. So a draw is a few gathers of lines, and a
tree of more leaves begins with the same nodes. A parent is always computed anew from its children, in a fixed order, so
rounding errors do not add up and equal leaves have equal trees.
"""

from functools import partial

import jax
import jax.numpy as jnp

from ddpg_jax.core.platforms import on_cpu
from ddpg_jax.core.types import Array

FAN, LEVELS = 128, 5  # 128^5 leaves are more than int32 counts
Tree = tuple[Array, ...]  # [nodes, FAN] of each level, the leaves first


def empty_tree(leaves: int) -> Tree:
    """Returns a tree with room for so many leaves, all 0."""
    levels = []
    for _ in range(LEVELS):
        leaves = -(-leaves // FAN)
        levels.append(jnp.zeros((leaves, FAN)))
    return tuple(levels)


def total(tree: Tree) -> Array:
    """Returns the sum of all leaves []."""
    return _sums(tree[-1])[0]


def leaves_at(tree: Tree, index: Array) -> Array:
    """Returns the leaves [B] of these indices [B]."""
    return tree[0].at[index // FAN, index % FAN].get(mode="promise_in_bounds")


def write_ranges(tree: Tree, *ranges: tuple[Array, Array]) -> Tree:
    """Returns the tree in which, for each (start [], values [M]), the leaves from `start` on are these values.

    It is written in place, by blocks of whole nodes. A level is read for the next one only when all of it is written:
    XLA would copy a level of which the old numbers are also read.
    """
    changed = []
    for level in tree:
        blocks = []
        for start, values in ranges:
            nodes = min(len(level), len(values) // FAN + 2)  # that M numbers may touch, wherever they begin
            first = jnp.minimum(start // FAN, len(level) - nodes)
            level = _write_block(level, first, nodes, start, values)
            blocks.append((first, nodes))
        changed.append(level)
        ranges = tuple((first, _sums(jax.lax.dynamic_slice_in_dim(level, first, nodes))) for first, nodes in blocks)
    return tuple(changed)


def _write_block(level: Array, first: Array, nodes: int, start: Array, values: Array) -> Array:
    """Returns a level with numbers [M] from `start` on, all of them in so many nodes from the `first` on."""
    block = jax.lax.dynamic_slice_in_dim(level, first, nodes)
    place = first * FAN + jnp.arange(nodes * FAN).reshape(nodes, FAN) - start
    inside = (place >= 0) & (place < len(values))
    block = jnp.where(inside, values[jnp.clip(place, 0, len(values) - 1)], block)
    return jax.lax.dynamic_update_slice_in_dim(level, block, first, axis=0)


def write_each(tree: Tree, index: Array, values: Array) -> Tree:
    """Returns the tree whose leaves `index` [B] are `values` [B], none of which is negative.

    Where an index occurs several times, the largest of its values counts, whatever the order in which a device writes.
    """
    node, lane = index // FAN, index % FAN
    leaves = tree[0].at[node, lane].set(values, mode="promise_in_bounds")  # one of its values
    changed = [leaves.at[node, lane].max(values, mode="promise_in_bounds")]
    for level in tree[1:]:
        changed.append(_with_sums(level, changed[-1], node))
        node = node // FAN
    return tuple(changed)


def draw(tree: Tree, uniform: Array) -> Array:
    """Returns indices [B] of leaves, each drawn in proportion to its value; one that is 0 is never drawn.

    At every level a child is drawn in proportion to its sum, by a random number of its own. A single number for all
    levels would not have enough digits to reach every leaf of a large tree.

    Args:
      tree: with at least one positive leaf.
      uniform: [LEVELS, B] random numbers in [0, 1).
    """
    node = jnp.zeros(uniform.shape[1], jnp.int32)
    for level, below, number in zip(tree[::-1], (*tree[-2::-1], None), uniform, strict=True):
        if below is not None and len(below) == 1:
            continue  # there is one child
        node = node * FAN + _child(level.at[node].get(mode="promise_in_bounds"), number)
    return node


def _child(values: Array, uniform: Array) -> Array:
    """Returns the place [B] of one of the values [B, FAN], by a uniform number [B]."""
    above, place = _running_sums(values), jnp.arange(FAN)
    positive = values > 0
    found = positive & (above > uniform[:, None] * above[:, -1:])
    last = jnp.where(positive, place, 0).max(axis=1)  # where rounding leaves none
    return jnp.minimum(jnp.where(found, place, FAN).min(axis=1), last)


def _running_sums(values: Array) -> Array:
    """Returns the sums [B, FAN] of each value and those before it. For a CPU, `cumsum` would add all of them anew."""
    return on_cpu(partial(jax.lax.associative_scan, jnp.add, axis=1), partial(jnp.cumsum, axis=1), values)


def _with_sums(level: Array, below: Array, node: Array) -> Array:
    """Returns a level in which the parents of these nodes [B] of the level below are right again."""
    if len(below) <= len(node):
        sums = _sums(below)
        return jnp.pad(sums, (0, level.size - sums.size)).reshape(level.shape)
    sums = _sums(below.at[node].get(mode="promise_in_bounds"))
    return level.at[node // FAN, node % FAN].set(sums, mode="promise_in_bounds")


def _sums(nodes: Array) -> Array:
    """Returns the sum [n] of every node [n, FAN], added in halves: the same numbers in every program."""
    while nodes.shape[-1] > 1:
        half = nodes.shape[-1] // 2
        nodes = nodes[..., :half] + nodes[..., half:]
    return nodes[..., 0]
