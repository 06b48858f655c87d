"""A policy as StableHLO, by `jax.export`: one serialized program for every platform and any number of observations."""

import jax

from ddpg_jax.deploy.policy import TrainedSeed

PLATFORMS = ("cpu", "cuda", "tpu")


def encode(trained: TrainedSeed) -> bytes:
    """Serializes a policy at the run's own matmul precision.

    `jax.export.deserialize(bytearray(data)).call(obs [B, *O])` returns the action [B, *A]. JAX reads what it wrote for
    at least six months.
    """
    from jax import export

    (batch,) = export.symbolic_shape("batch")
    obs = jax.ShapeDtypeStruct((batch, *trained.spec.obs_shape), trained.spec.obs_dtype)
    return bytes(export.export(jax.jit(trained.policy), platforms=PLATFORMS)(obs).serialize())
