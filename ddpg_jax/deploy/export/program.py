"""A policy as StableHLO, by `jax.export`: one serialized program for every platform and any number of observations."""

import jax

from ddpg_jax.deploy.policy import Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def encode(trained: Trained) -> bytes:
    """`jax.export.deserialize(bytearray(bytes)).call(obs [B, *O])` is the action [B, *A], at the run's own precision.

    JAX reads what it wrote for at least six months, and older programs as long as StableHLO does.
    """
    from jax import export

    (batch,) = export.symbolic_shape("batch")
    obs = jax.ShapeDtypeStruct((batch, *trained.spec.obs_shape), trained.spec.obs_dtype)
    return bytes(export.export(jax.jit(trained.act), platforms=PLATFORMS)(obs).serialize())
