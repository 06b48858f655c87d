"""The tables of what was compiled for accelerators, from benchmarks/results/targets/."""

import math
from typing import Any

import pods
import targets as compared
from markdown import table

MIB = 2**20


def rows_of(target: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Returns case, algorithm, library and row of everything compiled for a target, libraries beside each other."""
    found = {
        (row["case"], row["algorithm"], library): row
        for library in compared.NAMES
        for row in compared.read(library)
        if row["target"] == target
    }
    order = list(compared.NAMES)
    return [
        (case, algorithm, compared.NAMES[library], found[case, algorithm, library])
        for case, (_, algorithms, _) in compared.CASES.items()
        for algorithm in algorithms
        for library in order
        if (case, algorithm, library) in found
    ]


def targets() -> str:
    """Returns what a step launches on an H100, what its memory holds there and on a TPU v5e, by library."""
    kinds = {
        "launches": "launches",
        "fewest": "at least",
        "copies": "copies",
        "sorting": "sorting",
        "submitted": "by the host",
    }
    heads = ["case", "algorithm", "library", *kinds.values(), "host decides", "outside the loop", "an iteration"]
    launched, held = [], []
    tpu = {row[:3]: row[3] for row in rows_of("v5e")}
    for case, algorithm, library, row in rows_of("h100"):
        cells = [f"{case}", f"`{algorithm}`", f"**{library}**" if library == "ddpg_jax" else library]
        numbers = [short(number) for number in compared.per_step(row).values()]
        launched.append([*cells, *numbers, f"{row['compiled']['around']:,}", iteration(row)])
        sizes = [*memory(row), *(memory(tpu[case, algorithm, library]) if (case, algorithm, library) in tpu else "---")]
        held.append([*cells, *sizes])
    parts = ("arguments", "temporaries", "peak")
    names = [f"{name}, {part}" for name in ("H100", "v5e") for part in parts]
    cases = "\n".join(f"- {title}" for title in compared.TITLES.values())
    return f"{cases}\n\n{table(heads, launched)}\n\n{table([*heads[:3], *names], held)}"


def iteration(row: dict[str, Any]) -> str:
    """Returns what an iteration of a program's loop contains."""
    steps, updates = row["iteration"]["vector_steps"], row["iteration"]["updates"]
    return f"{steps} step{'s' * (steps > 1)}, {updates} update{'s' * (updates > 1)}"


def memory(row: dict[str, Any]) -> list[str]:
    """Returns the memory of a program, in MiB."""
    sizes = (row["compiled"][name] / MIB for name in ("argument_bytes", "temporary_bytes", "peak_bytes"))
    return [f"{size:,.0f}" if size >= 10 else f"{size:.1f}" for size in sizes]


def short(number: float | None) -> str:
    """Returns a number without decimals that are 0."""
    return "-" if number is None else f"{number:,.1f}".removesuffix(".0")


def pod_programs() -> str:
    """Returns what was compiled for one device, a host and a pod."""
    rows = []
    for row in pods.read()["rows"]:
        moved = row["repeated_collectives"].values()
        count, size = (sum(column) for column in zip(*moved, strict=True)) if moved else (0, 0)
        launched = "-" if row["launches"] is None else f"{row['launches']:,}"
        held = [f"{row[name] / MIB:,.1f} MiB" for name in ("argument_bytes", "peak_bytes")]
        cells = [
            f"`{row['target']}`",
            f"{row['devices']:,}",
            row["layout"],
            f"`{row['algorithm']}`",
            f"{row['seeds']:,}",
        ]
        rows.append([*cells, f"{count}", f"{size:,}", launched, *held, f"{row['compile_seconds']:.0f} s"])
    heads = ["target", "devices", "layout", "algorithm", "agents", "collectives an update", "their bytes"]
    return table([*heads, "launches a step", "state of a device", "peak of a device", "compiled in"], rows)


def pod_assumptions() -> str:
    """Returns the assumed speeds."""
    rows = []
    for kind, speeds in pods.ASSUMED.items():
        links = dict.fromkeys(speeds["links"])
        for place, link in enumerate(links):
            first = [f"{speeds['flops'] / 1e12:g} TFLOP/s", micro(speeds["launch_s"]), micro(speeds["start_s"])]
            shape = "ring, 2 (n - 1) hops" if link.ring else "tree, 2 log2(n) hops"
            cells = [f"`{kind}`", *first] if place == 0 else [""] * 4
            rows.append([*cells, f"{link.name}: {shape}", micro(link.hop_s), f"{link.bytes_per_s / 1e9:g} GB/s"])
    heads = ["", "float32 products", "a launch", "start of a collective", "link", "a hop", "bytes of a device"]
    return table(heads, rows)


def pod_updates() -> str:
    """Returns the calculated time of an update of one agent, and from which minibatch on sharing pays."""
    result, batch = pods.read(), pods.SHARED["batch_size"]
    rows = []
    for algorithm in result["flops_per_transition"]:
        for target, axes in pods.PODS.items():
            kind = target.partition(":")[0]
            seconds = pods.costs(result, algorithm, target, batch, pods.ASSUMED)
            alone = pods.costs(result, algorithm, kind, batch, pods.ASSUMED).total
            cells = [f"`{algorithm}`", f"`{target}`", f"{math.prod(axes):,}", *map(micro, seconds)]
            rows.append([*cells, f"{alone / seconds.total:.1f}", *pays(result, algorithm, target)])
    heads = ["", "target", "devices", "products", "launches", "collectives", "speed-up"]
    heads += ["faster than one device from", "faster than eight from", "speed-up above half the devices from"]
    return f"{table(heads, rows)}\n\n{speedups(result)}"


def speedups(result: dict[str, Any]) -> str:
    """Returns how much an update of DDPG gains from more devices, in a sentence."""
    batch, parts = pods.SHARED["batch_size"], []
    for kind, name in (("h100", "GPUs"), ("v5e", "TPU chips")):
        alone = pods.costs(result, "ddpg", kind, batch, pods.ASSUMED).total
        larger = [target for target in pods.PODS if target.startswith(f"{kind}:")]
        gains = [alone / pods.costs(result, "ddpg", target, batch, pods.ASSUMED).total for target in larger]
        parts.append(
            " and ".join(
                f"{gain:.1f} times as fast on {math.prod(pods.PODS[target])}"
                for gain, target in zip(gains, larger, strict=True)
            )
            + f" {name}"
        )
    return f"With a minibatch of {batch:,}, DDPG is {'; '.join(parts)}. Agents apart gain as much as there are devices."


def pays(result: dict[str, Any], algorithm: str, target: str) -> list[str]:
    """Returns the minibatches from which a target beats one of its devices, 8 of them, and half of them apart."""
    kind, devices = target.partition(":")[0], math.prod(pods.PODS[target])
    eight = next(name for name in pods.PODS if name.startswith(f"{kind}:"))
    cells = []
    for smaller, speedup in ((kind, 1.0), (eight, 1.0), (kind, devices / 2)):
        larger = devices > math.prod(pods.PODS[smaller])
        batch = pods.pays_from(result, algorithm, target, smaller, pods.ASSUMED, speedup) if larger else None
        cells.append(f"{batch:,}" if batch else "never" if larger else "")
    return cells


def micro(seconds: float) -> str:
    """Returns seconds in microseconds."""
    return f"{seconds * 1e6:,.1f} µs".replace(".0 µs", " µs")
