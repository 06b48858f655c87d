"""Checks that nothing grows during a long run with checkpoints, evaluation and logging.

    python benchmarks/soak.py --minutes 60        # writes benchmarks/results/soak.json

After every chunk it records the memory of the process, the part of it that is in use (the rest is retained by the
allocator of the C library), open files, threads and programs compiled so far; and the time spent on checkpoints.
"""

import argparse
import ctypes
import json
import os
import platform
import resource
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig
from ddpg_jax.devices.backend import prepare
from ddpg_jax.runs import checkpoint
from ddpg_jax.runs.experiment import run_experiment

RESULTS = Path(__file__).parent / "results"
NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Allocated(ctypes.Structure):
    """glibc's `struct mallinfo2`: bytes in use are `uordblks`, plus `hblkhd` in mapped blocks."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES)


def in_use() -> int:
    """Returns the bytes that are allocated and not freed."""
    mallinfo = ctypes.CDLL("libc.so.6").mallinfo2
    mallinfo.restype = Allocated
    info = mallinfo()
    return info.uordblks + info.hblkhd


def main() -> None:
    """Trains, samples and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="duration of the run")
    parser.add_argument("--note", help="what else the machine did meanwhile; written to the results")
    options = parser.parse_args()
    minutes = options.minutes
    prepare(4)
    seen: Counter[str] = Counter()
    jax.monitoring.register_event_duration_secs_listener(lambda name, seconds, **_: seen.update([name]))
    waited: list[float] = []
    save = checkpoint.Checkpoints.save

    def timed(*args: Any) -> None:
        begun = time.perf_counter()
        save(*args)
        waited.append(time.perf_counter() - begun)

    checkpoint.Checkpoints.save = timed  # type: ignore[method-assign]
    began, samples = time.monotonic(), []

    def watch(row: dict[str, Any], plan: Any) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        samples.append(
            {
                "minutes": round((time.monotonic() - began) / 60, 2),
                "MiB": round(pages * resource.getpagesize() / 2**20, 1),
                "MiB in use": round(in_use() / 2**20, 1),
                "files": len(os.listdir("/proc/self/fd")),
                "threads": threading.active_count(),
                "compiled": sum(count for name, count in seen.items() if "backend_compile" in name),
            }
        )

    folder = Path(tempfile.mkdtemp())
    config, loop = DDPGConfig(hidden=(64, 64), norm="none"), LoopConfig(batch_size=64, replay_capacity=100_000)
    chunk, endless = 5_000, 2_000_000_000
    run = RunConfig(seeds=4, steps=endless, evaluations=endless // chunk, eval_episodes=8, checkpoint_seconds=60.0)
    late = lambda: time.monotonic() - began > 60 * minutes  # noqa: E731
    result = run_experiment("ddpg", config, loop, run.replace(out=folder / "run"), on_chunk=watch, should_stop=late)
    seconds = 60 * samples[-1]["minutes"]
    tenth = next(sample for sample in samples if sample["minutes"] >= samples[-1]["minutes"] / 10)
    figures = {
        "minutes": samples[-1]["minutes"],
        "chunks": len(samples),
        "steps per seed": result.steps,
        "after a tenth": tenth,
        "at the end": samples[-1],
        "grown by MiB": round(samples[-1]["MiB"] - tenth["MiB"], 1),
        "grown by MiB in use": round(samples[-1]["MiB in use"] - tenth["MiB in use"], 1),
        "checkpoints": len(waited),
        "waited for them": f"{sum(waited) / seconds:.2%}",
        "device": f"{platform.machine()}, {os.cpu_count()} virtual cores, no accelerator",
        "command": f"python benchmarks/soak.py --minutes {minutes:g}",
        **({"note": options.note} if options.note else {}),
        "samples": samples[:: max(1, len(samples) // 60)],
    }
    print({name: value for name, value in figures.items() if name != "samples"})
    (RESULTS / "soak.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
