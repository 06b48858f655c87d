"""How programs are compiled for several devices that JAX makes of one CPU."""

import functools
import os
from typing import Any

import jax

from ddpg_jax.devices.layout import Layout

FLAG = "xla_cpu_experimental_ynn_fusion_type"


def cpu_options(layout: Layout) -> dict[str, Any]:
    """Returns the compiler options of a layout's programs on the CPU: no YNNPACK where there are several devices.

    XLA has YNNPACK divide a larger matrix product among the threads that all devices share. Each device occupies one of
    them for as long as its loop runs. With as many devices as cores none is left for what they ask each other to do, so
    these requests stay in memory until the loop ends: about 0.1 MB per update of DDPG with networks of 256-256. One
    thread per product is what is wanted there anyway. This was measured with two devices on two cores; one device, on
    one core or on two, does not have it. A choice in the environment variable XLA_FLAGS is kept.
    """
    several = layout.first_device.platform == "cpu" and layout.devices > 1
    return {FLAG: ""} if several and FLAG not in os.environ.get("XLA_FLAGS", "") and _is_known() else {}


@functools.cache
def _is_known() -> bool:
    """Returns whether this version of XLA has YNNPACK, and the option that turns it off."""
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options={FLAG: ""})
    except jax.errors.JaxRuntimeError:
        return False
    return True
