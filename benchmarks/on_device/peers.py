"""Other libraries on the same workload, where their packages are: rejax, beside ours as the same kind of process.

rejax needs another version of gymnax than we do, so its packages are in a folder of their own.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from on_device.rows import ROOT, Rows

WORKERS = ROOT / "benchmarks" / "peers"
CLASSIC: dict[str, Any] = {
    "hidden": [256, 256],
    "batch_size": 256,
    "replay_capacity": 20_000,
    "warmup_steps": 1000,
    "chunk": 1000,
}
SMALL = CLASSIC | {"hidden": [64, 64], "batch_size": 64}
WORKLOADS = {
    "one seed of 256-256": CLASSIC,
    "64 seeds of 64-64": SMALL | {"seeds": 64},
    "256 seeds of 64-64": SMALL | {"seeds": 256, "chunk": 300},
    "1,024 environments of 256-256": CLASSIC | {"num_envs": 1024, "batch_size": 1024, "replay_capacity": 102_400},
}
TOY = {"hidden": [8, 8], "batch_size": 8, "replay_capacity": 512, "warmup_steps": 32, "chunk": 10}


def run(rows: Rows, options: Any) -> None:
    """Measures each workload with each library."""
    there = (options.peers / "rejax").is_dir()
    for name, work in list(WORKLOADS.items())[: 1 if options.toy else None]:
        if options.toy:
            work = work | TOY | {"seeds": min(2, work.get("seeds", 1))}
        for peer in ("ours", "rejax"):
            if peer == "ours" or there:
                rows.attempt(f"{name}, {peer}", measured, peer, work, options)
    if not there:
        rows.put("rejax", skipped="rejax's packages are not in the folder that --peers names")


def measured(peer: str, work: dict[str, Any], options: Any) -> dict[str, Any]:
    """Returns the rates of three chunks after one that is not counted, and the time to the first update."""
    path = os.environ["PYTHONPATH"]
    more = {"STARTED_AT": str(time.time())}
    if peer != "ours":
        more["PYTHONPATH"] = os.pathsep.join([str(options.peers), path])
    worker = [
        sys.executable,
        str(WORKERS / peer / "worker.py"),
        json.dumps(work | ({"devices": 1} if peer == "ours" else {})),
    ]
    seconds = "0.1\n" if options.toy else "1.0\n"
    done = subprocess.run(
        worker, input=4 * seconds, stdout=subprocess.PIPE, text=True, timeout=200, env=os.environ | more
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [answer["error"] for answer in answers if "error" in answer]
    if wrong or len(answers) < 5:
        raise RuntimeError(wrong[0] if wrong else f"the worker ended with code {done.returncode}")
    hello, _, *counted = answers
    rates = {kind: [one[kind] / one["seconds"] for one in counted] for kind in ("updates", "env_steps")}
    medians = {f"{kind}_per_s": statistics.median(values) for kind, values in rates.items()}
    return medians | {"all_updates_per_s": rates["updates"], "versions": hello["versions"], "config": work}
