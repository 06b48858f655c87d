"""Compiles runs for one accelerator, a host of them and a pod, and calculates where sharing an agent stops paying.

    python benchmarks/pods.py                # compiles all in a few minutes; needs `pip install -e ".[targets]"`
    python benchmarks/pods.py --only ddpg    # these algorithms; the rows of others stay
    python benchmarks/pods.py --assume '{"h100": {"flops": 6e13}}'  # compiles nothing: calculates with other speeds

Collectives, bytes, launches and memory are XLA's, of the programs that it has compiled. Speeds are assumed: `ASSUMED`.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results" / "targets" / "pods.json"
# Target -> the lengths of its axes, innermost first: GPUs of a host and hosts, or the sides of a torus.
PODS: dict[str, tuple[int, ...]] = {
    "h100": (1,),
    "h100:8": (8,),
    "h100:16x8": (8, 16),
    "v5e": (1,),
    "v5e:2x4": (2, 4),
    "v5e:16x16": (16, 16),
}
SHARED = {
    "num_envs": 1024,
    "batch_size": 32_768,
    "replay_capacity": 1_048_576,
    "steps": 1_048_576,
    "hidden": (256, 256),
}
APART = {"num_envs": 1, "batch_size": 256, "replay_capacity": 100_000, "hidden": (256, 256)}
GROUP = 8  # devices of an agent where seeds are sharded over groups


class Link(NamedTuple):
    """How fast an all-reduce is along one axis of the devices."""

    name: str
    hop_s: float
    bytes_per_s: float  # of one device
    ring: bool  # an axis of n devices takes 2 (n - 1) hops, or in a tree 2 log2(n)


# None of these was measured here. float32 products: H100's peak without tensor cores is 67e12, and v5e needs 6 passes
# of its 197e12 in bfloat16. Links: NVLink 4 has 450e9 bytes per second and direction, InfiniBand NDR 50e9, a v5e's four
# ICI links together 200e9 in both directions.
ASSUMED: dict[str, dict[str, Any]] = {
    "h100": {
        "flops": 40e12,
        "launch_s": 2e-6,
        "start_s": 5e-6,
        "links": (Link("NVLink", 1e-6, 300e9, ring=False), Link("InfiniBand", 5e-6, 40e9, ring=False)),
    },
    "v5e": {
        "flops": 16e12,
        "launch_s": 1e-6,
        "start_s": 2e-6,
        "links": (Link("ICI", 1e-6, 90e9, ring=True),) * 2,
    },
}


def layouts(devices: int) -> dict[str, tuple[dict[str, Any], int]]:
    """Returns how so many devices are used: the loop's settings, and how many seeds there are."""
    if devices == 1:
        return {"one agent": (SHARED, 1), "a seed per device": (APART, 1)}
    found = {"one agent": (SHARED, 1), "a seed per device": (APART, devices)}
    return found | ({f"a seed per {GROUP} devices": (SHARED, devices // GROUP)} if devices > GROUP else {})


def compiled(algorithm: str, target: str, loop: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Returns what `ddpg-jax compile` says of a chunk, in a process of its own."""
    devices = math.prod(PODS[target])
    words = ["compile", algorithm, "--target", target, "--seeds", str(seeds), "--devices", str(devices)]
    for name, value in loop.items():
        values = map(str, value if isinstance(value, tuple) else (value,))
        words += [f"--{name.replace('_', '-')}", *values]
    words += ["--norm", "none", *(["--noise", "gaussian"] if algorithm == "sac" else []), "--only", "chunk"]
    done = subprocess.run([sys.executable, "-m", "ddpg_jax", *words, "--json"], capture_output=True, text=True)
    command = " ".join(["ddpg-jax", *words])
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return {"command": command, "error": lines[-1] if lines else f"exit code {done.returncode}"}
    found = json.loads(done.stdout)
    if "chunk" in found["too_large"]:
        return {"command": command, "error": found["too_large"]["chunk"]}
    return {"command": command, **found["programs"]["chunk"]}


def flops(algorithm: str, hidden: tuple[int, ...]) -> float:
    """Returns the floating-point operations of an update that a transition of the minibatch adds, as XLA counts."""
    fewer, more = 1024, 2048
    return (_update_flops(algorithm, hidden, more) - _update_flops(algorithm, hidden, fewer)) / (more - fewer)


def _update_flops(algorithm: str, hidden: tuple[int, ...], batch_size: int) -> float:
    """Returns XLA's count of an update's operations; of its branches and loops, those of a CPU's program."""
    import jax
    import jax.numpy as jnp

    from ddpg_jax.runs.matmul_limit import Workload
    from ddpg_jax.runs.registry import OWN

    env, config, loop, _ = Workload(algorithm, hidden=hidden, batch_size=batch_size).parts()
    agent, key = OWN[algorithm].make(config, env.spec), jax.random.key(0)
    memory = agent.memory(env.spec, loop.num_envs, 2 * loop.num_envs, batch_size, loop.n_step, agent.discount)
    learner = jax.eval_shape(agent.init, key)
    batch = jax.eval_shape(lambda: memory.sample(memory.init(), jnp.int32(2), key))
    return jax.jit(agent.update).lower(learner, batch, key, jnp.int32(0)).cost_analysis()["flops"]


def compile_pods(algorithms: list[str]) -> dict[str, Any]:
    """Returns a row per algorithm, target and layout."""
    rows = []
    for algorithm in algorithms:
        for target, axes in PODS.items():
            for layout, (loop, seeds) in layouts(math.prod(axes)).items():
                if layout != "one agent" and algorithm != "ddpg":
                    continue
                found = compiled(algorithm, target, loop, seeds)
                row = {"algorithm": algorithm, "target": target, "devices": math.prod(axes), "layout": layout}
                rows.append(row | {"seeds": seeds, "batch_size": loop["batch_size"]} | found)
                print(
                    f"  {algorithm} {target} {layout}: {found.get('error') or found['repeated_collectives']}",
                    flush=True,
                )
    work = {algorithm: flops(algorithm, SHARED["hidden"]) for algorithm in algorithms}
    return {"flops_per_transition": work, "rows": rows}


class Costs(NamedTuple):
    """The calculated seconds of an update of one agent shared by all devices of a target."""

    products: float
    launches: float
    collectives: float

    @property
    def total(self) -> float:
        """All together, nothing overlapping."""
        return sum(self)


def costs(result: dict[str, Any], algorithm: str, target: str, batch: int, assumed: dict[str, Any]) -> Costs:
    """Calculates an update from what was compiled and the assumed speeds."""
    row = find(result, algorithm, target)
    speeds, axes = assumed[target.partition(":")[0]], PODS[target]
    launched = row["launches"] if row["launches"] is not None else gpu_launches(result, algorithm, target)
    products = result["flops_per_transition"][algorithm] * batch / row["devices"] / speeds["flops"]
    moved = row["repeated_collectives"].values()
    count, size = (sum(column) for column in zip(*moved, strict=True)) if moved else (0, 0)
    return Costs(products, launched * speeds["launch_s"], all_reduces(count, size, axes, speeds))


def gpu_launches(result: dict[str, Any], algorithm: str, target: str) -> int:
    """Returns the launches of the H100s' program, which stand in for the operations of a TPU's, unknown to us."""
    one = math.prod(PODS[target]) == 1
    return find(result, algorithm, "h100" if one else "h100:8")["launches"]


def all_reduces(count: int, size: int, axes: tuple[int, ...], speeds: dict[str, Any]) -> float:
    """Returns the seconds of `count` all-reduces of `size` bytes together, axis by axis, each passing on its share."""
    seconds, share = count * speeds["start_s"], float(size)
    for length, link in zip(axes, speeds["links"], strict=False):
        hops = 2 * (length - 1) if link.ring else 2 * math.log2(length)
        seconds += count * hops * link.hop_s + 2 * (length - 1) / length * share / link.bytes_per_s
        share /= length
    return seconds


def pays_from(
    result: dict[str, Any], algorithm: str, target: str, smaller: str, assumed: dict[str, Any], speedup: float = 1.0
) -> int | None:
    """Returns the minibatch, a power of 2, from which a target is over `speedup` times as fast as a smaller one."""
    for batch in (2**power for power in range(8, 31)):
        shared, alone = (costs(result, algorithm, name, batch, assumed).total for name in (target, smaller))
        if alone > speedup * shared:
            return batch
    return None


def find(result: dict[str, Any], algorithm: str, target: str, layout: str = "one agent") -> dict[str, Any]:
    """Returns the row of a result."""
    wanted = (algorithm, target, layout)
    return next(row for row in result["rows"] if (row["algorithm"], row["target"], row["layout"]) == wanted)


def keep(new: dict[str, Any]) -> None:
    """Writes what was compiled, in the place of the rows of the same algorithms."""
    old = read() if RESULTS.exists() else {"flops_per_transition": {}, "rows": []}
    work = old["flops_per_transition"] | new["flops_per_transition"]
    stay = [row for row in old["rows"] if row["algorithm"] not in new["flops_per_transition"]]
    rows = sorted(stay + new["rows"], key=lambda row: list(work).index(row["algorithm"]))
    result = {"command": "python benchmarks/pods.py", "date": time.strftime("%Y-%m-%d")}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    result |= {"flops_per_transition": work, "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def read() -> dict[str, Any]:
    """Returns the stored result."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def with_assumptions(changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the assumed speeds with some replaced; links as lists of their fields."""
    changed = {kind: speeds | changes.get(kind, {}) for kind, speeds in ASSUMED.items()}
    for speeds in changed.values():
        speeds["links"] = tuple(Link(*link) for link in speeds["links"])
    return changed


def main() -> None:
    """Compiles, or calculates from what was compiled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=("ddpg", "td3", "sac"), default=["ddpg", "td3", "sac"])
    parser.add_argument("--assume", type=json.loads, help="speeds to replace, as JSON; compiles nothing")
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if options.assume is None:
        keep(compile_pods(options.only))
    result, assumed = read(), with_assumptions(options.assume or {})
    for algorithm in result["flops_per_transition"]:
        for target, axes in PODS.items():
            seconds = costs(result, algorithm, target, SHARED["batch_size"], assumed)
            first = next(iter(PODS)) if target.startswith("h100") else "v5e"
            pays = pays_from(result, algorithm, target, first, assumed) if math.prod(axes) > 1 else None
            times = ", ".join(f"{name} {value * 1e6:,.0f} µs" for name, value in seconds._asdict().items())
            print(f"{algorithm} {target}: {times}" + (f"; pays from a minibatch of {pays:,}" if pays else ""))


if __name__ == "__main__":
    main()
