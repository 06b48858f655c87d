"""Programs that differ between devices, chosen when a program is compiled for one of them.

On a GPU the time of a small kernel is that of its launch, so a step of fewer kernels is faster even where it computes
more.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ddpg_jax.core.types import Array


def on_gpu(gpu: Callable[..., Any], elsewhere: Callable[..., Any], *args: Any) -> Any:
    """Returns `gpu(*args)` in programs for GPUs and `elsewhere(*args)` in others, which are equal but for rounding."""
    return jax.lax.platform_dependent(*args, cuda=gpu, rocm=gpu, default=elsewhere)


def on_tpu(tpu: Callable[..., Any], elsewhere: Callable[..., Any], *args: Any) -> Any:
    """Returns `tpu(*args)` in programs for TPUs and `elsewhere(*args)` in others, which are equal."""
    return jax.lax.platform_dependent(*args, tpu=tpu, default=elsewhere)


def on_cpu(cpu: Callable[..., Any], elsewhere: Callable[..., Any], *args: Any) -> Any:
    """Returns `cpu(*args)` in programs for CPUs and `elsewhere(*args)` in others, which are equal."""
    return jax.lax.platform_dependent(*args, cpu=cpu, default=elsewhere)


def loop_if(condition: Array, function: Callable[[Any], Any], value: Any) -> Any:
    """Returns function(value) where `condition` [] holds, else `value`, by a loop that runs once or not at all.

    A loop changes arrays in place; on a GPU the branches of `jax.lax.cond` copy them, even one that changes nothing.
    """

    def body(carry):
        return jnp.zeros((), bool), function(carry[1])

    return jax.lax.while_loop(lambda carry: carry[0], body, (condition, value))[1]


def slices_together(vectors: Any, condition: Array) -> Any:
    """Returns the same vectors, of which slices are to be made, if `condition` [] holds.

    XLA makes each slice by a copy of its own, but those that depend on a condition by one kernel for every shape.
    """
    return jax.tree.map(lambda vector: jnp.where(condition, vector, jnp.zeros_like(vector)), vectors)
