"""Writes the tables and the picture of README.md from the code's own settings and from benchmarks/results/.

python benchmarks/readme.py          # rewrites what stands between the markers
python benchmarks/readme.py --check  # exit code 1 if README.md is out of date
"""

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any, get_type_hints

from ddpg_jax import LoopConfig
from ddpg_jax.algorithms import ALGORITHMS
from ddpg_jax.plan import RunConfig
from ddpg_jax.plots import learning_curve

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def settings() -> str:
    """Every setting with its default and explanation."""
    parts = []
    algorithms = {f"`{name}`": algorithm.config for name, algorithm in ALGORITHMS.items()}
    for title, config in ({"Run": RunConfig, "Loop": LoopConfig} | algorithms).items():
        rows = []
        for field in dataclasses.fields(config):
            default = "" if field.default is None else shown(field.default)
            kind = "number" if get_type_hints(config)[field.name] is float else "static"
            rows.append([f"`--{field.name.replace('_', '-')}`", default, kind, field.metadata["help"]])
        parts.append(table([title, "default", "", "meaning"], rows))
    return "\n\n".join(parts)


def shown(value: Any) -> str:
    """A default as one types it on the command line."""
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def results() -> str:
    """Final returns, a row per task."""
    rows = []
    for path in sorted((RESULTS / "learning").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        final, steps = result["return"], result["curve"]["steps"][-1]
        spread = f"{final['mean']:,.1f} ({final['low']:,.1f} to {final['high']:,.1f})"
        algorithm, environment = re.search(r"train (\S+) --env (\S+)", result["command"]).groups()
        each = ", ".join(f"{row['mean']:,.1f}" for row in result["seeds"])
        noise = re.search(r"--noise (\S+)", result["command"])
        environment = f"`{environment}`" + (f", {noise.group(1)} noise" if noise else "")
        rows.append(
            [
                f"`{algorithm}`",
                environment,
                f"{steps:,}",
                spread,
                f"{result['best']['mean']:,.1f}",
                each,
                f"{result['seconds']:,.0f} s",
            ]
        )
    head = [
        "method",
        "environment",
        "steps per seed",
        "final return (95% interval)",
        "best on the way",
        "final, each seed",
        "all seeds took",
    ]
    return table(head, rows)


def loop() -> str:
    """What the replay's size and the restarts cost."""
    measured = json.loads((RESULTS / "loop.json").read_text(encoding="utf-8"))
    sizes = sorted({row["capacity"] for row in measured["replay"]})
    rows = []
    for seeds in sorted({row["seeds"] for row in measured["replay"]}):
        times = {row["capacity"]: row["us_per_step"] for row in measured["replay"] if row["seeds"] == seeds}
        rows.append([f"{seeds}", *(f"{times[size]:,.0f} µs" for size in sizes)])
    replay = table(["seeds", *(f"replay {size:,}" for size in sizes)], rows)
    rows = [
        [f"`{row['env']}`", row["num_envs"], f"`{row['restart']}`", f"{row['us_per_step']:,.0f} µs", share(row)]
        for row in measured["restarts"]
    ]
    head = ["environment", "N", "`--restart`", "vector step", "speed against never restarting"]
    return f"{replay}\n\n{table(head, [[str(cell) for cell in row] for row in rows])}\n\nDevice: {measured['device']}."


def share(row: dict[str, Any]) -> str:
    """The share of the speed without restarts."""
    return f"{row['share_of_endless']:.0%}"


def picture() -> None:
    """The learning curve at the top."""
    result = json.loads((RESULTS / "learning" / "pendulum.json").read_text(encoding="utf-8"))["curve"]
    rows = [
        {"steps": steps, "eval_return": returns}
        for steps, returns in zip(result["steps"], result["eval_return"], strict=True)
    ]
    learning_curve(rows, "ddpg on Pendulum-v1", RESULTS / "pendulum.png")


def main() -> None:
    """Rewrites README.md, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    readme = ROOT / "README.md"
    before = after = readme.read_text(encoding="utf-8")
    for make in (settings, results, loop):
        pattern = rf"(<!-- {make.__name__} -->\n)((?!<!--).)*(<!-- end -->)"
        after, count = re.subn(
            pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[3]}", after, flags=re.DOTALL
        )
        if count != 1:
            sys.exit(f"README.md needs one pair of markers for {make.__name__}, not {count}.")
    if parser.parse_args().check:
        sys.exit(after != before)
    readme.write_text(after, encoding="utf-8")
    picture()


if __name__ == "__main__":
    main()
