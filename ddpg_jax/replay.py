"""A replay that never leaves the device: a ring of vector steps, written in place, sampled in O(batch)."""

import jax
import jax.numpy as jnp

from ddpg_jax.types import Memory, Spec, Transition


def replay(spec: Spec, num_envs: int, capacity: int, batch_size: int) -> Memory:
    """Uniform experience replay (Lillicrap et al. 2016, Algorithm 1), a row [N, ...] per vector step.

    The ring has as many rows as hold at least `capacity` transitions; a new row replaces the oldest one.
    Which row is next and how many are filled follow from the clock, so nothing is stored beside the data.

    Args:
      spec: gives the shapes and the observation dtype, which is kept as it is.
      num_envs: N.
      capacity: transitions to hold at least.
      batch_size: B.

    Returns:
      init() -> ring [rows, N, ...]; add(ring, clock, step [N, ...]) -> ring;
      sample(ring, filled, key) -> [B, ...], uniform with replacement over the last `filled` steps, of which
      the caller has added at least one.
    """
    rows = -(-capacity // num_envs)
    shapes = {"obs": spec.obs_shape, "next_obs": spec.obs_shape, "action": (spec.action_size,)}
    dtypes = {"obs": spec.obs_dtype, "next_obs": spec.obs_dtype, "truncated": jnp.bool_}

    def field(name):
        return jnp.zeros((rows, num_envs, *shapes.get(name, ())), dtypes.get(name, jnp.float32))

    def init():
        return Transition(**{name: field(name) for name in Transition.__dataclass_fields__})

    def add(ring, clock, step):
        def write(leaf, new):
            return jax.lax.dynamic_update_index_in_dim(leaf, new, clock % rows, axis=0)

        return jax.tree.map(write, ring, step)

    def sample(ring, filled, key):
        written = jnp.minimum(filled, rows) * num_envs
        index = jax.random.randint(key, (batch_size,), 0, written)
        return jax.tree.map(lambda leaf: leaf[index // num_envs, index % num_envs], ring)

    return Memory(init, add, sample)
