"""Compares the peak memory of a run with its plan, to see whether there is ever a second copy of the replay.

    python benchmarks/memory.py

Each case runs in separate processes with a small and a large replay, each of them twice, so that nothing is compiled in
the second, which counts. The difference of the two peaks (high-water mark of the resident set) divided by the
difference of the two plans is the number of copies of the replay. Writes benchmarks/results/memory.json.
"""

import json
import multiprocessing
import resource
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "memory.json"
SMALL, LARGE = 100_000, 6_000_000
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
CASES = [
    {"seeds": 1},
    {"seeds": 8, "seed_mapping": "vmap"},
    {"seeds": 8, "seed_mapping": "sequential"},
    {"seeds": 1, "num_envs": 1024},
]


def peak(case: dict[str, Any], capacity: int, answers: Any) -> None:
    """Trains briefly and puts (bytes of the plan, peak bytes of the process) into `answers`."""
    from ddpg_jax.devices.backend import prepare

    prepare(case["seeds"])
    from ddpg_jax.runs import bench
    from ddpg_jax.runs.plan import make_plan
    from ddpg_jax.runs.programs import choose_layout, make_programs

    work = bench.Workload(hidden=(64, 64), batch_size=64, replay_capacity=capacity // case["seeds"], **case)
    env, config, loop, run = work.parts()
    layout = choose_layout(config, loop, run, env)
    phases = make_programs(env, work.algorithm, loop, 1, layout)
    plan = make_plan(env, phases, config, loop, run, layout)
    advance = bench.begin(work)
    advance(50)
    advance(50)
    answers.put((plan.peak_bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT))


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Measures one case."""
    context, runs = multiprocessing.get_context("spawn"), []
    for capacity in (SMALL, SMALL, LARGE, LARGE):
        answers = context.Queue()
        process = context.Process(target=peak, args=(case, capacity, answers))
        process.start()
        runs.append(answers.get(timeout=300))
        process.join()
    planned, measured = (large - small for small, large in zip(runs[1], runs[3], strict=True))
    row = case | {"planned_bytes": planned, "peak_bytes": measured, "ratio": measured / planned}
    print(row, flush=True)
    return row


def main() -> None:
    """Measures every case."""
    rows = [measure(case) for case in CASES]
    RESULTS.write_text(json.dumps({"command": "python benchmarks/memory.py", "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
