"""Measures how throughput scales with seeds, environments, devices and lower precision, against the ideal.

    python benchmarks/scaling.py              # all parts: seeds, environments, devices, kernels, precision
    python benchmarks/scaling.py seeds --most 64
    python benchmarks/scaling.py --toy        # one small point of each part, not written

Every part runs in a separate process, and can be run by a separate command. On an accelerator there are up to 1,024
seeds; a CPU has no other precision to measure, and its devices divide the same cores. Writes
benchmarks/results/scaling-PLATFORM.json and scaling-PLATFORM.png; a part that is measured again replaces its rows.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def seeds(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measures the classic and the small workload over numbers of seeds, under vmap and sequentially."""
    from ddpg_jax.runs import bench

    for name, workload in {"256-256, minibatch 256": bench.CLASSIC, "64-64, minibatch 64": bench.SMALL}.items():
        for mapping in ("vmap", "sequential") if options.platform == "cpu" else ("vmap",):
            for count in powers(options.most or (256 if options.platform == "cpu" else 1024), options.toy):
                work = workload._replace(seeds=count, replay_capacity=20_000)
                chosen = work.layout().mapping == mapping
                row = {"networks": name, "mapping": mapping, "seeds": count, "chosen_by_auto": chosen}
                yield row | bench.beside_limit(work._replace(seed_mapping=mapping), options.seconds)


def environments(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measures numbers of environments, with as many transitions in a minibatch, but at least 256."""
    from ddpg_jax.runs import bench

    for count in powers(options.most or 16384, options.toy):
        size = max(256, count if options.platform == "cpu" else 2 * count)
        work = bench.MASSIVE._replace(num_envs=count, batch_size=size, warmup_steps=max(1000, 2 * count))
        yield {"num_envs": count, "batch_size": size} | bench.beside_limit(work, options.seconds)


def devices(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measures eight seeds sharded over devices, and one data-parallel agent with 1,024 environments."""
    import jax

    from ddpg_jax.runs import bench

    counts = [count for count in (1, 2, 4, 8) if count <= len(jax.devices())]
    for count in counts[-1:] if options.toy else counts:
        for name, work in {
            "8 seeds, 64-64, minibatch 64": bench.SMALL._replace(seeds=8, replay_capacity=20_000),
            "8 seeds, 256-256, minibatch 256": bench.CLASSIC._replace(seeds=8, replay_capacity=20_000),
            "1,024 environments, 256-256, minibatch 1,024": bench.MASSIVE,
        }.items():
            advance = bench.begin(work._replace(devices=count))
            rate = advance(bench.paced(advance, options.seconds))
            row = {"workload": name, "devices": count, "updates_per_s": rate.updates / rate.seconds}
            yield row | {"env_steps_per_s": rate.env_steps / rate.seconds}


def precision(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measures `matmul_precision`: time and returns of DDPG on Pendulum-v1 after 20,000 steps with 8 seeds."""
    import jax

    from ddpg_jax import DDPGConfig, LoopConfig, ddpg, evaluate, make_env, train

    env = make_env("Pendulum-v1")
    agent = ddpg(DDPGConfig(norm="none"), env.spec)
    steps, count = (300, 1) if options.toy else (20_000, 8)
    for name in ("float32", "tensorfloat32", "bfloat16")[: 0 if options.platform == "cpu" else 3]:
        loop = LoopConfig(matmul_precision=name, replay_capacity=20_000, warmup_steps=200 if options.toy else 1000)

        def run(key, loop=loop):
            train_key, test_key = jax.random.split(key)
            state, _ = train(train_key, env, agent, loop, steps=steps)
            return evaluate(test_key, env, lambda obs: agent.act(state.learner, obs), 64).returns.mean()

        keys = jax.random.split(jax.random.key(0), count)
        run_all = jax.jit(jax.vmap(run)).lower(keys).compile()
        began = time.perf_counter()
        returns = [float(value) for value in jax.block_until_ready(run_all(keys))]
        yield {"precision": name, "seconds": time.perf_counter() - began, "returns": returns}


def kernels(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Counts what one train step launches: instructions of the compiled loop, by kind."""
    from ddpg_jax.runs import bench

    for algorithm in ("ddpg", "td3", "sac"):
        counted = launches(bench.SMALL._replace(algorithm=algorithm))
        yield {"algorithm": algorithm, "total": sum(counted.values()), **counted}


def launches(workload: Any, options: dict[str, Any] | None = None) -> Counter[str]:
    """Counts the kernels of the compiled chunk (its loops, and what it does once), by kind of instruction.

    Args:
      options: for XLA, where they are not to be those of XLA_FLAGS.
    """
    import jax

    from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys

    env, config, loop, run = workload.parts()
    phases = make_programs(env, workload.algorithm, loop, 1, choose_layout(config, loop, run, env))
    state = phases.shapes(jax.eval_shape(lambda: seed_keys(run)), config)
    text = phases.chunk.lower(state, 0, 1, config).compile(options).as_text()
    outside = "".join(block for block in re.split(r"\n\n", text) if not block.lstrip().startswith("%fused_"))
    kinds = ("fusion", "dot", "custom-call", "while", "conditional", "copy", "scatter", "gather", "sort")
    return Counter(kind for kind in re.findall(r"\b([a-z-]+)\(", outside) if kind in kinds)


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "seeds": seeds,
    "environments": environments,
    "devices": devices,
    "kernels": kernels,
    "precision": precision,
}


def powers(most: int, toy: bool) -> list[int]:
    """Returns 1, 4, 16, ... up to `most`."""
    return [4] if toy else [count for count in (4**power for power in range(8)) if count < most] + [most]


def draw(result: dict[str, Any], path: Path) -> None:
    """Plots updates per second over seeds and devices, and environment steps per second over environments."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.8), dpi=150, layout="constrained")
    left, right, far = figure.subplots(1, 3)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result.get("seeds", []):
        groups.setdefault((row["networks"], row["mapping"]), []).append(row)
    colors = {name: f"C{index}" for index, name in enumerate(dict.fromkeys(name for name, _ in groups))}
    for (name, mapping), rows in groups.items():
        style, xs = {"vmap": "o-", "sequential": "s--"}[mapping], [row["seeds"] for row in rows]
        left.plot(xs, [row["updates_per_s"] for row in rows], style, color=colors[name], label=f"{name}, {mapping}")
        if rows[-1]["chosen_by_auto"]:
            left.plot(xs, [row["limit_updates_per_s"] for row in rows], ":", color=colors[name], linewidth=0.8)
    rows = result.get("environments", [])
    xs = [row["num_envs"] for row in rows]
    right.plot(xs, [row["env_steps_per_s"] for row in rows], "o-", color="C2", label="trained")
    limits = [row["limit_updates_per_s"] * row["num_envs"] for row in rows]
    right.plot(xs, limits, ":", color="C2", label="matrix products alone")
    left.set(xlabel="seeds", ylabel="updates/s, summed over seeds", title="one environment per seed; dotted: limit")
    right.set(xlabel="environments", ylabel="environment steps/s", title="one update per vector step")
    shared: dict[str, list[dict[str, Any]]] = {}
    for row in result.get("devices", []):
        shared.setdefault(row["workload"], []).append(row)
    for index, (name, rows) in enumerate(shared.items()):
        counts = [row["devices"] for row in rows]
        far.plot(counts, [row["updates_per_s"] for row in rows], "o-", color=f"C{index}", label=name)
        ideal = [rows[0]["updates_per_s"] * count for count in counts]
        far.plot(counts, ideal, ":", color=f"C{index}", linewidth=0.8)
    far.set(xlabel="devices", ylabel="updates/s", title=result.get("devices_are", "devices; dotted: ideal"))
    for axes in (left, right, far):
        if not axes.get_legend_handles_labels()[0]:  # not measured yet
            continue
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)


def main() -> None:
    """Measures the parts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS) + "; by default all")
    parser.add_argument("--most", type=int, help="the largest number of seeds or environments")
    parser.add_argument("--seconds", type=float, default=2.0, help="measuring time per point")
    parser.add_argument("--toy", action="store_true", help="one small point of each part, not written")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if len(parts) > 1:
        given = [argument for argument in sys.argv[1:] if argument not in parts]
        for part in parts:
            subprocess.check_call([sys.executable, __file__, part, *given])
        return
    from ddpg_jax.devices.backend import cores, prepare

    prepare(seeds=256 if parts == ["seeds"] else 1, devices=8 if parts == ["devices"] else None)
    import jax

    from ddpg_jax.runs import bench

    options.platform = jax.default_backend()
    options.seconds = 0.1 if options.toy else options.seconds
    path = RESULTS / f"scaling-{options.platform}.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() and not options.toy else {}
    result |= {"command": "python benchmarks/scaling.py", "machine": bench.machine()}
    if options.platform == "cpu":
        result["devices_are"] = f"host devices on {cores()} cores; dotted: ideal"
    for part in parts:
        result[part] = []
        for row in PARTS[part](options):
            print(part, row, flush=True)
            result[part].append(row)
            if not options.toy:  # after every point, so that an interrupted run leaves what it has
                path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not options.toy:
        draw(result, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
