"""Whether another process gets the same bits: the chunks of `correctness`, compiled anew, without JAX's cache.

A compiler that chooses kernels by timing them may choose others in another process, and then other bits follow.
"""

from typing import Any

import jax

from on_device.correctness import checksum
from on_device.rows import Rows
from on_device.states import ALGORITHMS, make_case


def run(rows: Rows, options: Any) -> None:
    """Compares the checksums of each algorithm."""
    jax.config.update("jax_default_matmul_precision", "float32")
    jax.config.update("jax_enable_compilation_cache", False)

    def compare(name: str) -> dict[str, Any]:
        case = make_case(name, options.toy).on(jax.devices()[0])
        found = checksum(case.chunk()[0])["learner_checksum"]
        expected = rows.known("correctness", name).get("learner_checksum")
        return {"learner_checksum": found, "same_bits": None if expected is None else found == expected}

    rows.attempt_all([(name, compare, name) for name in ALGORITHMS[: 1 if options.toy else None]], options.threads)
