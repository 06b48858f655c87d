"""What the device can do at most: large matrix products by precision, copies, and small kernels one after the other."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from on_device.rows import Rows

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
REPEATS = 5


def run(rows: Rows, options: Any) -> None:
    """Measures the ceilings."""
    size, count = (64, 1000) if options.toy else (8192, 2**28)
    for name in PRECISIONS:
        rows.attempt(f"products in {name}", products, name, size)
    rows.attempt("copies", copies, count)
    rows.attempt("small kernels", small_kernels, 100 if options.toy else 5_000)
    rows.attempt("calls", calls, 100 if options.toy else 1000)


def seconds_of(run: Callable[[], Any]) -> float:
    """Returns the median time of a call, after one that compiles."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def products(precision: str, size: int) -> dict[str, Any]:
    """Returns the rate of products of two square matrices of random numbers."""
    left, right = jax.random.normal(jax.random.key(0), (2, size, size))
    with jax.default_matmul_precision(precision):
        took = seconds_of(lambda multiply=jax.jit(jnp.matmul): multiply(left, right))
    return {"size": size, "seconds": took, "tflops": 2 * size**3 / took / 1e12}


def copies(count: int) -> dict[str, Any]:
    """Returns the bytes read and written in a second, of numbers that are too many for any cache."""
    numbers = jax.random.normal(jax.random.key(0), (count,))
    took = seconds_of(lambda add=jax.jit(lambda x: x + 1): add(numbers))
    return {"bytes": 8 * count, "seconds": took, "gb_per_s": 8 * count / took / 1e9}


def small_kernels(turns: int) -> dict[str, Any]:
    """Returns the kernels in a second of a compiled loop whose sorts of a few numbers wait for each other."""

    def body(_, x):
        for _ in range(10):  # a sort fuses with nothing
            x = jax.lax.sort(-x)
        return x

    numbers = jnp.arange(8.0)
    took = seconds_of(lambda loop=jax.jit(lambda x: jax.lax.fori_loop(0, turns, body, x)): loop(numbers))
    return {"turns": turns, "sorts_per_turn": 10, "us_per_turn": took / turns * 1e6}


def calls(count: int) -> dict[str, Any]:
    """Returns the time of one call of a compiled function from Python, waited for."""
    numbers, add = jnp.zeros(()), jax.jit(lambda x: x + 1)

    def many():
        for _ in range(count):
            add(numbers).block_until_ready()

    return {"us_per_call": seconds_of(many) / count * 1e6}
