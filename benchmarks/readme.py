"""Writes the tables and figures of README.md, docs/ and benchmarks/*.md, from the settings in the code and from
benchmarks/results/.

python benchmarks/readme.py          # rewrites the text between the markers
python benchmarks/readme.py --check  # exits with 1 if a table is out of date, a link or an import leads nowhere, or
                                     # a result on learning was measured before a default of its command changed
"""

import argparse
import dataclasses
import importlib
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any, get_type_hints

import scipy.stats

from ddpg_jax import LoopConfig
from ddpg_jax.core.exploration import NoiseConfig
from ddpg_jax.core.learning import LearningConfig, TargetConfig
from ddpg_jax.core.networks import NetworkConfig
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.presets import PRESETS, tuned_settings
from ddpg_jax.runs.registry import OWN

sys.path.insert(0, str(Path(__file__).parent))
import figures
from learning import outdated
from learning_tables import (
    NAMES,
    carried_over,
    chance,
    confirmed,
    crossing,
    diagnosis,
    ends,
    held_out,
    learned,
    profiles,
    residual,
    searched_defaults,
    wide,
)
from markdown import table
from target_tables import pod_assumptions, pod_programs, pod_updates, rows_of, targets
from targets import per_step
from tasks import (
    CPU_TASKS,
    EVEN_TASKS,
    LEAGUE,
    LOCOMOTION_TASKS,
    METHODS,
    OLDER,
    OLDER_TASKS,
    OWN_TASKS,
    PEERS,
    PRESET_RUNS,
    SUITES,
    TASKS,
)
from throughput import CASES

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def settings() -> str:
    """Returns tables of all settings with their defaults and descriptions."""
    parts = []
    kinds = dict.fromkeys(algorithm.config for algorithm in OWN.values())
    users = {kind: [f"`{name}`" for name, one in OWN.items() if issubclass(one.config, kind)] for kind in kinds}
    shared = {
        "All algorithms": LearningConfig,
        "Target networks: `ddpg`, `d4pg`, `td3`, `sac`, `tqc`": TargetConfig,
        "Networks": NetworkConfig,
        "Exploration, all but `sac` and `tqc`": NoiseConfig,
    }
    alone = {", ".join(names): config for config, names in users.items()}
    for title, config in ({"Run": RunConfig, "Loop": LoopConfig} | shared | alone).items():
        rows = []
        for field in own_fields(config):
            default = "" if field.default is None else shown(field.default)
            traced = config is not RunConfig and get_type_hints(config)[field.name] in (float, float | None)
            kind = "traced" if traced else "static"
            rows.append([f"`--{field.name.replace('_', '-')}`", default, kind, field.metadata["help"]])
        if rows:
            parts.append(table([title, "default", "kind", "meaning"], rows))
    return "\n\n".join(parts)


SHOWN_BY_ALGORITHM = ("actor_lr", "critic_lr", "norm", "noise", "noise_scale", "tau")
COMPARED = ("ddpg", "td3", "sac", "tqc", "d4pg", "copdac-q", "dpg-off-policy")


def defaults_by_algorithm() -> str:
    """Returns the defaults in which algorithms differ, a row per setting and a column per algorithm."""
    rows = []
    for setting in SHOWN_BY_ALGORITHM:
        fields = [OWN[name].config.__dataclass_fields__.get(setting) for name in COMPARED]
        cells = ["" if field is None else shown(field.default) for field in fields]
        rows.append([f"`--{setting.replace('_', '-')}`", *cells])
    return table(["", *(f"`{name}`" for name in COMPARED)], rows)


def own_fields(config: type) -> list[dataclasses.Field]:
    """Returns the settings that a class adds to its base classes, or whose default it changes."""
    inherited = {
        field.name: field for base in config.__bases__ if base is not object for field in dataclasses.fields(base)
    }
    fields = dataclasses.fields(config)
    return [field for field in fields if field.name not in inherited or inherited[field.name].default != field.default]


def shown(value: Any) -> str:
    """Returns a default as it is typed on the command line."""
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def results() -> str:
    """Returns the table of results: a row per task, a column per algorithm, with default and with tuned settings."""
    rows, missing = [], []
    for task in CPU_TASKS:
        both = [(learned(task, method), learned(task, f"{method}-best")) for method in LEAGUE]
        cells = [cell(default) + (f"<br>tuned: {cell(tuned)}" if tuned else "") for default, tuned in both]
        if any(default for default, _ in both):
            rows.append([*place(task), *cells])
        else:
            missing.append(place(task)[0])
    shown = table(["environment", "steps per seed", *(f"`{method}`" for method in LEAGUE)], rows)
    return "\n\n".join((shown, highest(), *([f"Not run yet: {', '.join(missing)}."] if missing else [])))


def highest() -> str:
    """Returns a sentence: on how many tasks each algorithm is the highest with its default settings."""
    finals = [{name: row["final"] for name in LEAGUE if (row := learned(task, name))} for task in CPU_TASKS]
    full = [found for found in finals if len(found) == len(LEAGUE)]
    counts = []
    for name in LEAGUE:
        others = [(found[name], [found[other] for other in LEAGUE if other != name]) for found in full]
        top = sum(all(round(ours["iqm"], 1) >= round(one["iqm"], 1) for one in rest) for ours, rest in others)
        clear = sum(all(ours["low"] > one["high"] for one in rest) for ours, rest in others)
        counts.append(f"`{name}` {top} ({clear})")
    return (
        f"With default settings, on how many of {len(full)} tasks an algorithm has the highest interquartile mean (a "
        f"tie counts for each): {', '.join(counts)}. In brackets: on how many of them its interval lies above those of "
        "the two others."
    )


def locomotion() -> str:
    """Returns the table of longer runs with the default networks: a row per task and algorithm that was run."""
    suite, rows = SUITES["locomotion"], []
    for task, method in itertools.product(suite.tasks, suite.methods):
        if row := learned(task, method.replace(":", "-")):
            flags = " ".join(filter(None, [method.split(":")[0], METHODS[method]]))
            shares = row.get("saturation", [])
            saturated = f"{sum(shares) / len(shares):.0%}" if shares else ""
            rows.append([*place(task), f"`{flags}`", str(row["final"]["seeds"]), cell(row), saturated])
    return table(["environment", "steps per seed", "settings", "seeds", "return", "saturated actions"], rows)


def curves_of(tasks: dict[str, str], variant: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the curves of every task that was run, with default settings and a variant, by the name of the task."""
    methods = [method for name in LEAGUE for method in (name, f"{name}-{variant}")]
    found = {
        place(task)[0].replace("`", ""): {name: row["curve"] for name in methods if (row := learned(task, name))}
        for task in tasks
    }
    return {title: curves for title, curves in found.items() if curves}


def older() -> str:
    """Returns the table of results of the older algorithms."""
    rows = [[*place(task), *(cell(learned(task, method)) for method in OLDER)] for task in OLDER_TASKS]
    return table(["environment", "steps per seed", *(f"`{method}`" for method in OLDER)], rows)


def comparison() -> str:
    """Returns the table of the runs whose settings were made equal to those of another library."""
    return beside_others(EVEN_TASKS, "even")


def own_comparison() -> str:
    """Returns the table of the runs in which each library has its own defaults."""
    return beside_others(OWN_TASKS, "own")


def beside_others(tasks: dict[str, str], variant: str) -> str:
    """Returns a row per task, algorithm and other library: both results, and the probability that ours ends higher."""
    rows = []
    for task in tasks:
        for algorithm in LEAGUE:
            ours = learned(task, f"{algorithm}-{variant}")
            for peer in PEERS.get(task, ()):
                theirs = learned(task, f"{peer.name}-{algorithm}")
                if ours and theirs:
                    a, b = (ends(result) for result in (ours, theirs))
                    better = chance([(a, b)])
                    name = f"{NAMES[peer.name]}, `{peer.env}`"
                    rows.append([*place(task), f"`{algorithm}`", cell(ours), name, cell(theirs), better])
    head = [
        "environment",
        "steps per seed",
        "algorithm",
        "ddpg_jax",
        "other library",
        "its result",
        "P(ddpg_jax higher)",
    ]
    return table(head, rows)


MODIFIED_PRESETS = {"pixels": "`lillicrap2016-pixels`, modified"}  # runs whose command changes much of their preset


def tuned() -> str:
    """Returns a table of the tuned settings."""
    rows = []
    for algorithm, tasks in tuned_settings().items():
        for env, changes in tasks.items():
            flags = " ".join(flag(name.replace("_", "-"), value) for name, value in changes.items())
            rows.append([f"`{algorithm}`", f"`{env}`", f"`{flags}`"])
    return table(["algorithm", "environment", "`--preset best` sets"], rows)


def place(task: str) -> list[str]:
    """Returns the environment of a task and its number of steps."""
    found = re.search(r"--env (\S+).* --steps (\d+)", TASKS[task])
    assert found
    backend = re.search(r"--backend (\S+)", TASKS[task])
    return [f"`{found[1]}`" + (f" ({backend[1]})" if backend else ""), f"{int(found[2]):,}"]


def cell(result: dict[str, Any] | None) -> str:
    """Returns the final and the best return of one method on one task."""
    if result is None:
        return "not run"
    final, digits = result["final"], 0 if abs(result["final"]["iqm"]) >= 1000 else 1
    interval = f"{final['low']:,.{digits}f} to {final['high']:,.{digits}f}"
    return f"**{final['iqm']:,.{digits}f}** ({interval}); best {result['best']['iqm']:,.{digits}f}".replace(
        "-0.0", "0.0"
    )


def preset_results() -> str:
    """Returns the table of results of the presets."""
    rows = []
    for name in PRESET_RUNS:
        path = RESULTS / "learning" / f"preset-{name}.json"
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            first = scipy.stats.trim_mean(result["curve"]["eval_return"][0], 0.25)
            shown_name = MODIFIED_PRESETS.get(name, f"`{name}`")
            row = [shown_name, f"{result['curve']['steps'][-1]:,}", str(result["final"]["seeds"]), f"{first:,.1f}"]
            numbers = ", ".join(map(str, range(result["final"]["seeds"])))
            each = f", one run for each N in {numbers}" if "--seed N" in result["command"] else ""
            rows.append([*row, cell(result), f"{result['seconds'] / 60:,.0f} min", f"`{result['command']}`{each}"])
    head = ["preset", "steps per seed", "seeds", "untrained", "final", "time for all seeds", "command"]
    return table(head, rows)


def bandit() -> str:
    """Returns the final costs of the continuous bandit, a row per number of dimensions."""
    curves = json.loads((RESULTS / "bandit.json").read_text(encoding="utf-8"))["curves"]
    names = list(dict.fromkeys(row["algorithm"] for row in curves))
    rows = []
    for size in sorted({row["dimension"] for row in curves}):
        finals = {row["algorithm"]: row["final"] for row in curves if row["dimension"] == size}
        rows.append([str(size), *("{mean:.2g} ({low:.2g} to {high:.2g})".format(**finals[name]) for name in names)])
    return table(["action dimensions", *names], rows)


def sizes() -> str:
    """Returns the files of the algorithms with their lengths."""
    folder = ROOT / "ddpg_jax" / "algorithms"
    rows = []
    for path in sorted(folder.glob("[a-z]*.py")):
        names = [f"`{name}`" for name, entry in OWN.items() if entry.make.__module__.endswith("." + path.stem)]
        lines = path.read_text(encoding="utf-8").splitlines()
        rows.append([f"[{path.name}](../ddpg_jax/algorithms/{path.name})", ", ".join(names), str(len(lines))])
    return table(["file", "algorithms", "lines, including settings and docstrings"], rows)


def presets() -> str:
    """Returns the presets and what they set."""
    rows = []
    for name, preset in PRESETS.items():
        flags = [
            flag(key.replace("_", "-"), value) for key, value in (preset.run | preset.loop | preset.config).items()
        ]
        rows.append([f"`{name}`", f"`{preset.algorithm}`", preset.about, f"`{' '.join(flags)}`"])
    return table(["preset", "algorithm", "description", "sets"], rows)


def flag(name: str, value: Any) -> str:
    """Returns a setting as it is typed on the command line."""
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {shown(value).strip('`')}"


def loop() -> str:
    """Returns the cost of the size of the replay and of resets."""
    measured = json.loads((RESULTS / "loop.json").read_text(encoding="utf-8"))
    sizes = sorted({row["capacity"] for row in measured["replay"]})
    rows = []
    for seeds in sorted({row["seeds"] for row in measured["replay"]}):
        times = {row["capacity"]: row["us_per_step"] for row in measured["replay"] if row["seeds"] == seeds}
        rows.append([f"{seeds}", *(f"{times[size]:,.0f} µs" for size in sizes)])
    replay = table(["seeds", *(f"replay {size:,}" for size in sizes)], rows)
    rows = [
        [
            f"`{row['env']}`",
            row["num_envs"],
            f"`{row['reset_mode']}`",
            f"{row['us_per_step']:,.0f} µs",
            f"{row['share_of_endless']:.0%}",
        ]
        for row in measured["resets"]
    ]
    head = ["environment", "N", "`--reset-mode`", "vector step", "speed relative to no resets"]
    return f"{replay}\n\n{table(head, [[str(cell) for cell in row] for row in rows])}\n\nDevice: {measured['device']}."


def throughput() -> str:
    """Returns a row per case and number of cores of benchmarks/results/throughput/."""
    rows = []
    for path in [RESULTS / "throughput" / f"{name}--{cores}.json" for name in CASES for cores in (1, 2)]:
        if path.exists():
            result = json.loads(path.read_text(encoding="utf-8"))
            ours, *others, limit = result["members"].items()
            rate = ours[1]["median"]
            # One agent on two cores overlaps products that the limit runs sequentially, so that it is no limit.
            bound = result["cores"] == 1 or "seeds" in result["config"]
            of_limit = f"{rate / limit[1]['median']:.0%}" if bound else ""
            peers = "; ".join(ratio(name, member, rate) for name, member in others)
            rows.append([result["case"], str(result["cores"]), f"**{per_second(rate)}**", of_limit, peers])
    return table(
        ["case", "cores", "ddpg_jax, updates/s", "% of limit", "others in the same run (**speedup of ddpg_jax**)"],
        rows,
    )


def durations() -> str:
    """Returns sentences: how long a run with the default number of steps takes, with large and with small networks."""
    rates = {}
    for case in ("classic", "small"):
        result = json.loads((RESULTS / "throughput" / f"{case}--1.json").read_text(encoding="utf-8"))
        rates[case] = result["members"]["ddpg_jax"]["median"]
    steps = RunConfig.__dataclass_fields__["steps"].default
    seconds = {case: steps / rate for case, rate in rates.items()}
    return (
        f"On one CPU core DDPG without layer norm makes about {per_second(rates['classic'])} updates per second on "
        "Pendulum with the default networks of 256-256 and minibatches of 256, and about "
        f"{per_second(rates['small'])} with 64-64 and 64. So the default {steps:,} steps take "
        f"about {seconds['classic'] / 60:.0f} minutes or {seconds['small']:.0f} seconds per seed and core, without "
        "compilation and evaluation (`python benchmarks/throughput.py`). Layer norm, which `ddpg` has by default and "
        "in the examples here, takes more, and so do a second critic and the physics of Brax; how much was not "
        "measured."
    )


def ratio(name: str, member: dict[str, Any], rate: float) -> str:
    """Returns a member's rate, and how many times as fast ours is."""
    if "median" not in member:
        return f"{name}: {member.get('error', 'no figure')}"
    return f"{name} {per_second(member['median'])} (**{rate / member['median']:.2f}x**)"


def headline() -> str:
    """Returns sentences: speed compared with other libraries, launches on a GPU, learning, and MuJoCo itself."""
    parts = []
    for name, words in (("classic", "networks of 256-256"), ("small", "networks of 64-64")):
        ratios = [f"{ratio:.1f} times {peer}'s" for peer, ratio in speedups(name).items()]
        parts.append(f"{words}: {', '.join(ratios)}")
    ants = [
        f"{speedups(name)['Brax SAC']:.2f} ({backend})" for name, backend in (("ant", "spring"), ("ant-mjx", "mjx"))
    ]
    launches = {
        library: per_step(row)
        for case, algorithm, library, row in rows_of("h100")
        if case == "classic" and algorithm == "ddpg"
    }
    unsorted = {library: found["launches"] - found["sorting"] for library, found in launches.items()}
    others = " and ".join(f"{count:.0f} of {name}" for name, count in unsorted.items() if name != "ddpg_jax")
    sorts = [f"{row['sorting']:.0f} with which {name} sorts" for name, row in launches.items() if row["sorting"]]
    left_out = f" Not counted: {', '.join(sorts)}; where there is a GPU, XLA makes fewer of them." if sorts else ""
    final = [learned("pendulum", method)["final"] for method in LEAGUE]
    reached = ", ".join(
        f"{method} {end['iqm']:.0f} ({end['low']:.0f} to {end['high']:.0f})"
        for method, end in zip(LEAGUE, final, strict=True)
    )

    defaults = [reached_by_default(task) for task in ("halfcheetah", "mountain-car")]
    return "\n".join(
        (
            f"- **Speed**, updates per second of DDPG without layer norm on one CPU core in the same run: "
            f"{'; '.join(parts)}. rejax's DDPG is its TD3, reduced by us. With 1,024 Brax ants, whose physics takes "
            f"most of the time there, SAC makes {' and '.join(ants)} times the updates of Brax's SAC, whose older jax "
            "makes a faster program of the physics `spring` (`python benchmarks/throughput.py`).",
            "- **On an H100**, speed has not been measured yet. XLA's program for it, compiled without one, makes "
            f"{unsorted['ddpg_jax']:.0f} kernel launches (copies included) in a training step of DDPG without layer "
            f"norm, compared with {others} (`python benchmarks/targets.py`).{left_out}",
            "- **Learning**, the interquartile mean of six seeds after 30,000 steps of Pendulum-v1, with its 95% "
            f"interval, networks of 64-64 and minibatches of 64: {reached} (`python benchmarks/learning.py`).",
            "- **With default settings** but networks of 64-64 and minibatches of 64, six seeds each: "
            f"{'; '.join(defaults)}. The defaults of DDPG and SAC were chosen with both tasks known: the mountain car "
            "was one of the five of the search, the halfcheetah one of the five on which its candidates were tried; "
            "TD3's because of the halfcheetah with `mjx` and networks of 256-256.",
            carried_over(),
        )
    )


def speedups(case: str) -> dict[str, float]:
    """Returns how many times as many updates per second we make as each other library, on one core."""
    result = json.loads((RESULTS / "throughput" / f"{case}--1.json").read_text(encoding="utf-8"))
    ours, *others, _ = result["members"].items()
    return {name: ours[1]["median"] / one["median"] for name, one in others if "median" in one}


def reached_by_default(task: str) -> str:
    """Returns a clause: what each algorithm reaches on a task with its default settings."""
    env, steps = place(task)
    reached = ", ".join(f"{name} {cell(learned(task, name)).split(';')[0].replace('*', '')}" for name in LEAGUE)
    return f"{env} after {steps} steps: {reached}"


def physics() -> str:
    """Returns the time of a vector step of ant's physics alone, per version of jax and flags."""
    rows = json.loads((RESULTS / "physics.json").read_text(encoding="utf-8"))
    cells = [
        [row["jax"], row["brax"], f"`{row['flags']}`" if row["flags"] else "", f"{row['spring_ms']:.0f} ms"]
        for row in rows
    ]
    return table(["jax", "brax", "flags", f"step of {rows[0]['num_envs']:,} ants (`spring`), one core"], cells)


def profile() -> str:
    """Returns the fraction of a training step's time per group of kernels."""
    measured = json.loads((RESULTS / "profile.json").read_text(encoding="utf-8"))
    works = {name: work for name, work in measured.items() if isinstance(work, dict) and "shares" in work}
    groups = list(dict.fromkeys(group for work in works.values() for group in work["shares"]))
    rows = [["kernels per step", *(str(work["kernels_per_step"]) for work in works.values())]]
    rows += [[group, *(f"{work['shares'].get(group, 0):.1%}" for work in works.values())] for group in groups]
    return table(["fraction of the kernels' time", *works], rows)


def per_second(rate: float) -> str:
    """Returns a rate, with a decimal if it is small."""
    return f"{rate:,.1f}" if rate < 20 else f"{rate:,.0f}"


def starts() -> str:
    """Returns the seconds from the start of a process to its first update, a column per number of cores."""
    files = {cores: RESULTS / "throughput" / f"starts--{cores}.json" for cores in (1, 2)}
    found = {cores: json.loads(path.read_text(encoding="utf-8")) for cores, path in files.items() if path.exists()}
    names = list(dict.fromkeys(name for result in found.values() for name in result["median"]))
    rows = [[name, *(f"{result['median'][name]:.1f} s" for result in found.values())] for name in names]
    return table(["", *(f"{cores} core{'s' * (cores > 1)}" for cores in found)], rows)


def solve() -> str:
    """Returns the seconds from the command line to a solved task; our first seed compiles, the others use its cache."""
    rows = []
    for name, result in json.loads((RESULTS / "solve.json").read_text(encoding="utf-8"))["contenders"].items():
        first, *later = [row["seconds"] for row in result["seeds"]]
        seeds = str(len(result["seeds"]))
        times = ", ".join("not solved" if seconds is None else f"{seconds:.1f} s" for seconds in later)
        start = "not solved" if first is None else f"{first:.1f} s"
        rows.append([f"`{result['task']}`", f"{result['goal']:,.0f}", name, seeds, start, times])
    return table(["task", "goal", "library and algorithm", "seeds", "first run", "later runs, other seeds"], rows)


def mappings() -> str:
    """Returns updates per second over seeds by mapping, with the choice of `auto` in bold, and over devices."""
    result = json.loads((RESULTS / "scaling-cpu.json").read_text(encoding="utf-8"))
    rates: dict[int, dict[tuple[str, str], str]] = {}
    for row in result["seeds"]:
        rate = f"{row['updates_per_s']:,.0f}"
        rates.setdefault(row["seeds"], {})[row["networks"], row["mapping"]] = (
            f"**{rate}**" * row["chosen_by_auto"] or rate
        )
    heads = sorted({key for cells in rates.values() for key in cells}, reverse=True)
    by_seeds = table(
        ["seeds", *(f"{networks}, `{mapping}`" for networks, mapping in heads)],
        [[str(seeds), *(cells[head] for head in heads)] for seeds, cells in rates.items()],
    )
    shared: dict[str, list[str]] = {}
    for row in result["devices"]:
        shared.setdefault(row["workload"], []).append(f"{row['updates_per_s']:,.0f}")
    counts = sorted({row["devices"] for row in result["devices"]})
    by_devices = table(
        ["number of host devices", *map(str, counts)], [[name, *cells] for name, cells in shared.items()]
    )
    return f"{by_seeds}\n\n{by_devices}"


def sweep() -> str:
    """Returns the time of a sweep against that of one command per trial."""
    result = json.loads((RESULTS / "sweep.json").read_text(encoding="utf-8"))
    kind, _, device = result["device"].partition(": ")
    return (
        f"On a {kind.upper() if device == kind else device} with 2 cores: {result['agents']} agents take "
        f"{result['first_s']:.0f} s ({result['again_s']:.0f} s if already compiled); one `train` command per trial "
        f"takes {result['one_command_each_s']:.0f} s in total, with compiled programs (`python benchmarks/sweep.py`, "
        "measured on 22 November 2026, when DDPG had no layer norm by default)."
    )


def overhead() -> str:
    """Returns the cost of logging: its median over rounds, and how much rounds without it differ."""
    result = json.loads((RESULTS / "overhead.json").read_text(encoding="utf-8"))
    bare, overhead = result["seconds"]["bare"], result["overhead"]
    variation = max(bare) / min(bare) - 1
    changed = f"the median run was {abs(overhead):.1%} {'faster' if overhead < 0 else 'slower'}"
    if abs(overhead) <= variation:
        found = f"No cost of logging could be measured: with it {changed}, within the {variation:.1%} between runs"
    else:
        found = f"With logging {changed}, and runs without it differed by up to {variation:.1%}"
    return (
        f"{found} ({result['chunks']} chunks of {result['steps'] // result['chunks']:,} steps of DDPG with 64-64 "
        f"networks and no layer norm, one core; `{result['command']}`)."
    )


def memory() -> str:
    """Returns measured peak memory against the planned one."""
    rows = []
    for row in json.loads((RESULTS / "memory.json").read_text(encoding="utf-8"))["rows"]:
        what = ", ".join(
            f"{name.replace('_', ' ')} {row[name]}" for name in row if "bytes" not in name and name != "ratio"
        )
        rows.append([what, *(f"{row[key] / 2**20:,.0f} MiB" for key in ("planned_bytes", "peak_bytes"))])
        rows[-1].append(f"{row['ratio']:.2f}")
    return table(["run", "planned", "measured", "ratio"], rows)


def plan() -> str:
    """Returns the planned memory of runs relative to what XLA assigns to their training programs."""
    rows = json.loads((RESULTS / "plan.json").read_text(encoding="utf-8"))
    names = {"cpu": "CPU", "h100": "H100", "v5e": "TPU v5e"}
    found = {(row["env"], row["seeds"], row["capacity"], row["target"]): row for row in rows}
    lines = []
    for env, seeds, capacity in dict.fromkeys(key[:3] for key in found):
        cells = [found.get((env, seeds, capacity, target)) for target in names]
        lines.append([f"`{env}`", f"{seeds}", f"{capacity:,}", *map(_planned, cells)])
    return table(["environment", "seeds", "transitions each", *names.values()], lines)


def _planned(row: dict[str, Any] | None) -> str:
    """Returns the peak of a program and the plan relative to it."""
    if row is None:
        return "-"
    return f"{row['peak_bytes'] / 2**20:,.0f} MiB, {row['ratio']:.2f}" if "ratio" in row else "does not fit"


def faults() -> str:
    """Returns the faults that were injected into a run, and their outcome."""
    result = json.loads((RESULTS / "faults.json").read_text(encoding="utf-8"))
    soak = json.loads((RESULTS / "soak.json").read_text(encoding="utf-8"))
    kills, files, disk = (result[name] for name in ("kills", "damaged files", "full disk"))
    swept, stopped, deleted = (result[name] for name in ("kills of a sweep", "SIGTERM", "deleted folder"))
    outputs = result["standard output"].values()
    whole = sum(found["exit code"] == 0 and found["whole"] for found in outputs)
    at_most = max(map(int, kills["chunks lost"]), default=0)
    early, late = soak["after a tenth"], soak["at the end"]
    note = f" ({soak['note']})" if "note" in soak else ""
    rows = [
        [
            f"killed {kills['kills']} times at random, {kills['while saving']} of them while saving",
            f"at most {at_most} chunk lost each time; {kills['lines wrong']} lines of metrics and "
            f"{kills['parts of the state wrong']} checksums of arrays differ from an uninterrupted run",
        ],
        [
            f"a sweep with successive halving and population based training, killed {swept['kills']} times at random",
            f"its tables, curves and best run are {'' if swept['same'] else 'NOT '}bitwise identical to those of an "
            "uninterrupted sweep",
        ],
        [
            "SIGTERM while compiling, and while training",
            f"ends in {stopped['compiling']['seconds']} s with exit code {stopped['compiling']['exit code']} and "
            f"{'a' if stopped['compiling']['folder'] else 'no'} folder; in {stopped['training']['seconds']} s with "
            f"exit code {stopped['training']['exit code']}, a checkpoint and the command to resume",
        ],
        [
            f"each of {files['files']} files of a checkpoint with a flipped bit, truncated to half, emptied, deleted",
            f"detected {files['found']} times, without effect on the restored state {files['harmless']} times, "
            f"undetected {files['wrong']} times",
        ],
        [
            f"a full disk ({disk['how']})",
            f"exit code {disk['exit code']} and one sentence; "
            f"the run {'resumes' if disk.get('resumes elsewhere') is True else 'does not resume'} on another disk",
        ],
        [
            "the run folder is deleted during training",
            f"exit code {deleted['exit code']} and {len(deleted['messages'])} sentence; "
            f"{'something' if deleted['folder left'] else 'nothing'} is left behind",
        ],
        [
            "standard output is closed, full, or a pipe that nobody reads",
            f"{whole} of {len(outputs)} runs end with exit code 0 and all files, and at most "
            f"{max(len(found['messages']) for found in outputs)} warning",
        ],
        [
            f"{soak['minutes']:.0f} minutes with logging, evaluation and {soak['checkpoints']} checkpoints; memory is "
            "read between chunks",
            f"memory in use {early['MiB in use']:,.0f} MiB after a tenth, {late['MiB in use']:,.0f} MiB at the end "
            f"({early['MiB']:,.0f} and {late['MiB']:,.0f} with what the allocator retains); open files "
            f"{early['files']} and {late['files']}; compilations {early['compiled']} and {late['compiled']}; "
            f"checkpoints took {soak['waited for them']} of the time{note}",
        ],
    ]
    return table(["fault", "outcome"], rows) + (
        f"\n\n`{result['command']}` and `{soak['command']}`, on {result['device']}."
    )


def pictures() -> None:
    """Draws the learning curves, and what a step launches."""
    figures.curves(curves_of(CPU_TASKS, "best"), RESULTS / "league.png")
    figures.curves(curves_of(LOCOMOTION_TASKS, "before"), RESULTS / "locomotion.png")
    figures.profiles(profiles(), RESULTS / "profiles.png")
    bars = [(case, algorithm, library, per_step(row)) for case, algorithm, library, row in rows_of("h100")]
    figures.launches(bars, RESULTS / "targets" / "launches.png")


DOCUMENTS: dict[str, tuple[Any, ...]] = {
    "README.md": (headline,),
    "docs/quickstart.md": (durations,),
    "docs/settings.md": (defaults_by_algorithm, settings),
    "docs/presets.md": (presets,),
    "docs/algorithms.md": (sizes,),
    "docs/results.md": (
        results,
        searched_defaults,
        held_out,
        confirmed,
        wide,
        tuned,
        residual,
        crossing,
        locomotion,
        older,
        comparison,
        own_comparison,
        preset_results,
        bandit,
    ),
    "docs/how_to_learn.md": (diagnosis,),
    "docs/performance.md": (throughput,),
    "docs/logging.md": (overhead,),
    "docs/sweeps.md": (sweep,),
    "docs/runs.md": (faults,),
    "benchmarks/README.md": (profile, physics, starts, solve, memory, plan, mappings, loop, targets),
    "benchmarks/thousand_gpus.md": (pod_programs, pod_assumptions, pod_updates),
}
PAGES = tuple(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
OTHERS = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/peers/README.md", *(p for p in PAGES if p not in DOCUMENTS))


def read(document: str) -> str:
    """Returns the text of a document."""
    return (ROOT / document).read_text(encoding="utf-8")


def dead_ends(document: str) -> list[str]:
    """Returns the links, imports of ddpg_jax and "`name` in [file]" of a document that lead nowhere."""
    text, folder, found = read(document), (ROOT / document).parent, []
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"(?m)^#+ (.+)$", prose)}
    links = re.findall(r"\]\(([^)\s:]+)\)", prose)
    broken = [
        link for link in links if not (link[1:] in slugs if link[0] == "#" else (folder / link.split("#")[0]).exists())
    ]
    found += [f"{document} links to {link}" for link in broken]
    for name, link in re.findall(r"`(\w+)` in \[[^]]*\]\(([^)]+)\)", prose):
        defined = (folder / link).exists() and f"def {name}(" in (folder / link).read_text(encoding="utf-8")
        found += [] if defined else [f"{document} looks for {name} in {link}"]
    for module, names in re.findall(r"(?m)^from (ddpg_jax[\w.]*) import (\([^)]*\)|.+)$", text):
        missing = [name for name in re.findall(r"\w+", names) if not hasattr(importlib.import_module(module), name)]
        found += [f"{document} imports {name} from {module}" for name in missing]
    return found


def outdated_results() -> list[str]:
    """Returns the results on learning whose command has other settings today: those with defaults changed since."""
    found = []
    for path in sorted((RESULTS / "learning").glob("*.json")):
        changes = outdated(json.loads(path.read_text(encoding="utf-8")))
        found += [f"{path.name} is of other settings than its command has today: {changes}"] if changes else []
    return found


def written(document: str) -> str:
    """Returns the text of a document with its tables regenerated."""
    text = read(document)
    for make in DOCUMENTS[document]:
        pattern = rf"(<!-- {make.__name__} -->\n)((?!<!--).)*(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[3]}", text, flags=re.DOTALL
        )
        if count != 1:
            sys.exit(f"{document} needs one pair of markers for {make.__name__}, not {count}.")
    return text


def main() -> None:
    """Rewrites the documents, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; report what is out of date")
    if parser.parse_args().check:
        faults = [f"{name} is out of date" for name in DOCUMENTS if read(name) != written(name)]
        faults += [fault for name in (*DOCUMENTS, *OTHERS) for fault in dead_ends(name)]
        faults += outdated_results()
        sys.exit("\n".join(faults) or 0)
    for name in DOCUMENTS:
        (ROOT / name).write_text(written(name), encoding="utf-8")
    pictures()


if __name__ == "__main__":
    main()
