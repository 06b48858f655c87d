"""Measures ddpg_jax on the accelerator of this machine in one go: right, how fast, how exact, how much memory.

    python benchmarks/accelerator.py                        # everything, in at most 9 minutes
    python benchmarks/accelerator.py --stages seeds peers   # these stages; the others keep their results
    python benchmarks/accelerator.py --missing              # what an earlier run has not done or has failed at
    python benchmarks/accelerator.py --toy                  # every stage in toy size, to see that it runs; not kept

`make accelerator` also installs the packages that were carried to a machine without network. Stages run in the order of
their importance, each in a process of its own with a limit in seconds. Every row is written as soon as it is measured,
to benchmarks/results/accelerator/DEVICE.json. A stage that fails, crashes or runs out of time leaves its rows and its
error, and the next one goes on; once `--minutes` have passed, the others are recorded as not run. What the stages print
goes to stages.log beside it. The programs compile into a cache that lasts for one run of this script.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from on_device.report import Report, outcome
from on_device.rows import ROOT, Rows, worded

RESULTS = Path(__file__).parent / "results" / "accelerator"
STAGES = {  # name -> seconds that it may take at most; each is a module in on_device/
    "facts": 60,
    "correctness": 150,
    "again": 60,
    "ceilings": 60,
    "classic": 75,
    "seeds": 100,
    "environments": 75,
    "brax": 75,
    "graphs": 90,
    "precision": 75,
    "memory": 75,
    "learning": 90,
    "peers": 90,
    "limits": 90,
}
LEVEL = "--xla_backend_optimization_level"
LEAST = 15  # seconds that must be left for a stage to begin


def run_stage(name: str, report: Report, limit: float, options: argparse.Namespace, cache: str) -> None:
    """Runs a stage in a process of its own and ends it after `limit` seconds."""
    began = time.monotonic()
    section: dict[str, Any] = {"status": "running", "date": time.strftime("%Y-%m-%d"), "rows": []}
    report.stages[name] = section
    known = {stage: done.get("rows", []) for stage, done in report.stages.items()}
    Path(cache, "known.json").write_text(json.dumps(known), encoding="utf-8")
    command = [sys.executable, __file__, "--run-stage", name, *["--toy"] * options.toy]
    command += ["--peers", str(options.peers), "--threads", str(options.threads)]
    environment = _environment(cache, options.toy)
    with open(report.folder / "stages.log", "a", encoding="utf-8") as log:
        print(f"\n== {name}", file=log, flush=True)
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    alarm = threading.Timer(limit, _end, [process])
    alarm.start()
    for line in process.stdout or ():
        report.add(name, json.loads(line))
    process.wait()
    alarm.cancel()
    section["seconds"] = round(time.monotonic() - began, 1)
    section |= outcome(process.returncode, section["seconds"] >= limit, section["rows"])
    report.write()
    print(f"{name}: {section['status']} in {section['seconds']} s", section.get("error", ""), flush=True)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a stage and what it has started."""
    os.killpg(process.pid, signal.SIGKILL)


def _environment(cache: str, toy: bool) -> dict[str, str]:
    """Returns the environment of a stage, in which a CPU is there beside the accelerator, to compare with."""
    given = dict(os.environ)
    platforms = given.get("JAX_PLATFORMS", "")
    more = {"KNOWN_ROWS": str(Path(cache, "known.json")), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    more["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), given.get("PYTHONPATH")]))
    if platforms and "cpu" not in platforms.split(","):
        more["JAX_PLATFORMS"] = f"{platforms},cpu"
    if toy:  # compiles for longer than it computes
        flags = given.get("XLA_FLAGS", "")
        more["XLA_FLAGS"] = flags if LEVEL in flags else f"{flags} {LEVEL}=0"
    if not toy or "JAX_COMPILATION_CACHE_DIR" not in given:
        more["JAX_COMPILATION_CACHE_DIR"] = str(Path(cache, "programs"))
    return given | more


def inside(options: argparse.Namespace) -> None:
    """Is the process of a stage."""
    rows = Rows(json.loads(Path(os.environ["KNOWN_ROWS"]).read_text(encoding="utf-8")))
    try:
        importlib.import_module(f"on_device.{options.run_stage}").run(rows, options)
    except Exception as error:
        rows.put("stage", error=worded(error))
        raise


def chosen(report: Report, options: argparse.Namespace) -> list[str]:
    """Returns the stages to run, of which the first one, `facts`, has run already."""
    names = [name for name in options.stages or STAGES if name != "facts"]
    done = [name for name, section in report.stages.items() if section["status"] in ("done", "skipped")]
    return [name for name in names if not (options.missing and name in done)]


def main() -> None:
    """Runs the stages, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="*", choices=STAGES, help="only these")
    parser.add_argument("--missing", action="store_true", help="only those without results in the file of this device")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no stage goes on")
    parser.add_argument("--toy", action="store_true", help="every stage in toy size; the file is not kept")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers", help="folder of the peers' packages")
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1), help="programs compiled at a time")
    parser.add_argument("--run-stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_stage:
        return inside(options)
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as cache:
        report = Report(options.out or (Path(cache, "toy") if options.toy else RESULTS), list(STAGES), options.toy)
        run_stage("facts", report, min(60 * options.minutes, STAGES["facts"]), options, cache)
        for name in chosen(report, options):
            left = end - time.monotonic()
            if left >= LEAST:
                run_stage(name, report, min(left, STAGES[name]), options, cache)
            elif name not in report.stages:
                report.stages[name] = {"status": "not run", "error": f"{options.minutes:g} minutes had passed"}
                report.write()
        print(f"written: {report.path.name}, {sum(one['status'] == 'done' for one in report.stages.values())} done")


if __name__ == "__main__":
    main()
