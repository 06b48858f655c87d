"""The chunk that `ddpg-jax train` runs, compiled by what `ddpg-jax compile` calls."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from compiling import COMPILING, Program, send
from protocol import Line, serve


def main(line: Line) -> None:
    from ddpg_jax import LoopConfig
    from ddpg_jax.devices.targets import prepare_targets
    from ddpg_jax.runs.compilation import compile_run
    from ddpg_jax.runs.config import RunConfig
    from ddpg_jax.runs.registry import OWN

    prepare_targets()
    wanted: dict[str, Any] = line.config
    brax = wanted["env"] != "Pendulum-v1"
    plain = {"norm": "none", "noise": "gaussian"}  # as the others have it
    config = OWN[wanted["algorithm"]].config(hidden=tuple(wanted["hidden"]), **plain)
    names = ("num_envs", "batch_size", "replay_capacity", "warmup_steps")
    loop = LoopConfig(**{name: wanted[name] for name in names})
    where = {"env": f"brax/{wanted['env']}", "backend": wanted["backend"]} if brax else {"env": wanted["env"]}
    steps = max(100_000, loop.replay_capacity)  # a run has no larger replay than it fills
    run = RunConfig(**where, seeds=wanted["seeds"], **{"steps": steps} | wanted.get("run", {}))
    program = Program(lambda device: None, (), 1, loop.updates_per_step, "the chunk of ddpg-jax train")
    for target in wanted["targets"]:
        found = compile_run(wanted["algorithm"], config, loop, run, target, ("chunk",))
        if "chunk" in found.too_large:
            raise MemoryError(found.too_large["chunk"])
        send(line, target, found.programs["chunk"], program, ("ddpg_jax", "jax", "flax", "optax", "gymnax", "brax"))


if __name__ == "__main__":
    serve(main, COMPILING)
