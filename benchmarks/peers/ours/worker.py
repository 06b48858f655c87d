"""Measures ddpg_jax with the peers' protocol: the programs that `ddpg-jax train` runs, in chunks.

With `limit` in the configuration, it measures only the matrix products of its updates.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from protocol import Line, serve


def main(line: Line) -> None:
    with line.importing():
        from ddpg_jax.devices.backend import prepare
        from ddpg_jax.devices.layout import fits_one_thread

        known = {name: value for name, value in line.config.items() if name not in ("chunk", "limit")}
        limit = line.config.get("limit", False)
        tiny = fits_one_thread(known["num_envs"], known["batch_size"], tuple(known["hidden"]), image=False)
        prepare(known["seeds"], one_thread=tiny)  # as `ddpg-jax train` does
        from ddpg_jax.runs import bench, matmul_limit

        workload = bench.Workload(**known | {"hidden": tuple(known["hidden"])})
    layout = workload.layout()
    advance = matmul_limit.begin_limit(workload) if limit else bench.begin(workload)
    advance(1)
    line.stepped()
    length = bench.paced(advance, 1.0)
    settings = {"seed_mapping": layout.mapping, "devices": layout.devices, "chunk": length, "hidden": workload.hidden}
    line.ready(settings, ("ddpg_jax", "jax", "flax", "optax", "gymnax", "brax"))

    def chunk():
        rate = advance(length)
        return rate.updates, rate.env_steps

    line.measure(chunk)


if __name__ == "__main__":
    serve(main)
