"""Compiles the training programs of ddpg_jax and of other on-device libraries for the same accelerators, without them.

    python benchmarks/targets.py                     # ours, in a few minutes; needs `pip install -e ".[targets]"`
    python benchmarks/targets.py rejax evorl brax    # others, each in the environment that peers/README.md describes
    python benchmarks/targets.py --cases classic --targets h100

Every program is the library's own, compiled in a process of its own (peers/NAME/compile.py), with its settings of XLA.
Figures are those of one step of all environments: what an iteration of the program's main loop launches, divided by its
steps. Each library has a file in benchmarks/results/targets/; what is compiled again replaces its rows there.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEERS = HERE / "peers"
RESULTS = HERE / "results" / "targets"
TARGETS = ("h100", "v5e")
NAMES = {"ours": "ddpg_jax", "rejax": "rejax", "evorl": "EvoRL", "brax": "Brax"}
OWN_ENVIRONMENT = ("rejax", "evorl")  # the others run in that of ddpg_jax

CLASSIC = {"hidden": [256, 256], "batch_size": 256, "replay_capacity": 100_000, "warmup_steps": 1000}
SEEDS = CLASSIC | {"seeds": 64, "hidden": [64, 64], "batch_size": 64, "replay_capacity": 10_000}
MASSIVE = CLASSIC | {"num_envs": 1024, "batch_size": 8192, "replay_capacity": 1_000_000, "warmup_steps": 10_240}
PENDULUM = CLASSIC | {"env": "inverted_pendulum", "backend": "spring", "num_envs": 256, "replay_capacity": 1_000_000}
ANT = PENDULUM | {"env": "ant", "num_envs": 1024, "batch_size": 1024}
# Case -> settings, algorithms, who has them beside ours. One update per step of all environments everywhere.
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "classic": (CLASSIC, ("ddpg", "td3", "sac"), ("rejax", "evorl")),
    "seeds": (SEEDS, ("ddpg",), ("rejax",)),
    "massive": (MASSIVE, ("ddpg",), ("rejax", "evorl")),
    "inverted-pendulum": (PENDULUM, ("sac",), ("brax",)),
    "ant": (ANT, ("sac",), ("brax",)),
}
TITLES = {
    "classic": "*classic*: Pendulum-v1, one environment, 256-256, minibatch 256, replay 100,000",
    "seeds": "*seeds*: the same with 64 seeds, 64-64, minibatch 64, replay 10,000",
    "massive": "*massive*: Pendulum-v1, 1,024 environments, 256-256, minibatch 8,192, replay 1,000,000",
    "inverted-pendulum": "*inverted-pendulum*: Brax's `inverted_pendulum` with the physics `spring`, 256 environments, "
    "256-256, minibatch 256, replay 1,000,000",
    "ant": "*ant*: Brax's `ant` with `spring`, 1,024 environments, 256-256, minibatch 1,024, replay 1,000,000",
}


def compiled(library: str, config: dict[str, Any], timeout: float) -> list[dict[str, Any]]:
    """Returns what a library's worker says: a message per target, or its error."""
    python = PEERS / ".venv" / library / "bin" / "python" if library in OWN_ENVIRONMENT else Path(sys.executable)
    command = [str(python), str(PEERS / library / "compile.py"), json.dumps(config)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [{"error": f"{type(error).__name__} of {library}'s worker"}]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return lines or [{"error": f"{library}'s worker has ended with exit code {done.returncode} and said nothing"}]


def compile_library(library: str, cases: list[str], targets: list[str], timeout: float) -> list[dict[str, Any]]:
    """Returns a row per case, algorithm and target of one library."""
    rows = []
    for case in cases:
        config, algorithms, others = CASES[case]
        for algorithm in algorithms if library in ("ours", *others) else ():
            for found in compiled(library, config | {"algorithm": algorithm, "targets": targets}, timeout):
                rows.append({"case": case, "algorithm": algorithm, **found})
                step = per_step(rows[-1]) if "compiled" in found else found
                print(f"  {case} {algorithm} {found.get('target', '')}: {step}", flush=True)
    return rows


def per_step(row: dict[str, Any]) -> dict[str, float | None]:
    """Returns the launches and decisions of a row for one step of all environments."""
    steps = row["iteration"]["vector_steps"]
    names = ("launches", "fewest", "copies", "sorting", "submitted", "host_decisions")
    numbers = {name: row["compiled"][name] for name in names}
    return {name: None if number is None else number / steps for name, number in numbers.items()}


def keep(library: str, rows: list[dict[str, Any]]) -> None:
    """Writes rows to the file of a library, in the place of those of the same case, algorithm and target.

    An error that names no target takes the place of all of its case and algorithm, and is itself replaced by any.
    """
    path = RESULTS / f"{library}.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    order, new = list(CASES), [key(row) for row in rows]
    kept = [row for row in kept if not any(_replaces(one, key(row)) for one in new)]
    both = sorted(kept + rows, key=lambda row: order.index(row["case"]))
    settings = {case: CASES[case][0] for case in dict.fromkeys(row["case"] for row in both)}
    result = {"library": NAMES[library], "command": f"python benchmarks/targets.py {library}"}
    result |= {"date": time.strftime("%Y-%m-%d"), "settings": settings, "rows": both}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def key(row: dict[str, Any]) -> tuple[str, ...]:
    """Returns what a row is about."""
    return row["case"], row["algorithm"], row.get("target", "")


def _replaces(new: tuple[str, ...], old: tuple[str, ...]) -> bool:
    """Returns whether a row is about what an older row is about, where "" stands for every target."""
    return new[:2] == old[:2] and (new[2] == old[2] or "" in (new[2], old[2]))


def read(library: str) -> list[dict[str, Any]]:
    """Returns the rows of a library that were compiled."""
    path = RESULTS / f"{library}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return [row for row in rows if "compiled" in row]


def main() -> None:
    """Compiles what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"some of {', '.join(NAMES)}; by default ours")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), help="only these cases")
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), help="as of `ddpg-jax compile --target`")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds of one compilation")
    options = parser.parse_args()
    unknown = [name for name in options.libraries if name not in NAMES]
    if unknown:
        parser.error(f"LIBRARY must be one of {', '.join(NAMES)}, not {unknown[0]}")
    for library in options.libraries or ["ours"]:
        print(NAMES[library], flush=True)
        rows = compile_library(library, options.cases, options.targets, options.timeout)
        keep(library, rows)


if __name__ == "__main__":
    main()
