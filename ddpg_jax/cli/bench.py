"""`ddpg-jax bench`: how fast this machine trains, and what that takes."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from json import dumps
from typing import Annotated, Any

import tyro
from typing_extensions import Doc

from ddpg_jax.cli.console import console, print_line, table
from ddpg_jax.cli.suggestions import unknown_algorithm
from ddpg_jax.core.settings import SettingError
from ddpg_jax.envs.references import is_reference
from ddpg_jax.runs.config import Backend
from ddpg_jax.runs.load import is_busy
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.signals import undone_at_once

Row = dict[str, Any]
Column = tuple[str, str, Callable[[Any], str]]  # name in the JSON, head of the table, how a value is written


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


BESIDE_LIMIT: tuple[Column, ...] = (
    ("workload", "workload", "{}".format),
    ("updates_per_s", "updates/s", "{:,.0f}".format),
    ("env_steps_per_s", "env steps/s", "{:,.0f}".format),
    ("first_update_s", "to first update", "{:.1f} s".format),
    ("limit_updates_per_s", "limit, updates/s", "{:,.0f}".format),
    ("share", "share of limit", "{:.0%}".format),
)
COMBINATIONS: tuple[Column, ...] = (
    ("seeds", "seeds", "{:,}".format),
    ("num_envs", "envs per seed", "{:,}".format),
    ("env_steps_per_s_of_all_seeds", "env steps/s of all seeds", "{:,.0f}".format),
    ("updates_per_s_of_all_seeds", "updates/s of all seeds", "{:,.0f}".format),
    ("compile_seconds", "compile seconds", "{:.1f}".format),
    ("compiled_bytes_per_device", "compiled for, per device", _mib),
    ("peak_bytes_in_use", "peak in use, per device", _mib),
)
LIMIT = (
    "limit: the matrix products alone, each timed by itself; of environments alone, episodes that never end. A share "
    "above 100% is possible where an agent uses several cores, since training overlaps products that the limit runs "
    "one after another, or where something else slowed the machine while the limit was timed."
)
MEMORY = (
    "compiled for: arguments, results and temporaries of the training program, as XLA has assigned them; peak in use: "
    "what the device's allocator has counted, where it counts and no earlier row took more."
)
Several = tyro.conf.arg(metavar="INT [INT ...]")


def bench(
    algorithm: Annotated[str | None, Doc("with this or a setting below, what to train; by default ddpg")] = None,
    env: Annotated[str | None, Doc("environment id; by default Pendulum-v1")] = None,
    num_envs: Annotated[tuple[int, ...] | None, Several, Doc("environments per seed, a row each; by default 1")] = None,
    seeds: Annotated[tuple[int, ...] | None, Several, Doc("seeds, a row each; by default 1")] = None,
    hidden: Annotated[tuple[int, ...] | None, Several, Doc("widths of the hidden layers; by default 256 256")] = None,
    batch_size: Annotated[int | None, Doc("transitions in a minibatch; by default 256")] = None,
    updates_per_step: Annotated[int | None, Doc("updates per step of all environments; by default 1")] = None,
    backend: Annotated[Backend | None, Doc("Brax's physics backend; by default that of the environment")] = None,
    seconds: Annotated[float, Doc("about how long to measure each row")] = 3.0,
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False,
) -> None:
    """Measure training speed, beside its limit or for your settings."""
    from ddpg_jax.devices.backend import prepare
    from ddpg_jax.devices.layout import fits_one_thread
    from ddpg_jax.runs.bench import check_seconds

    check_seconds(seconds)
    given: dict[str, Any] = {"algorithm": algorithm, "env": env, "num_envs": num_envs, "seeds": seeds, "hidden": hidden}
    given |= {"batch_size": batch_size, "updates_per_step": updates_per_step, "backend": backend}
    options = {name: value for name, value in given.items() if value is not None}
    if algorithm is not None and algorithm not in algorithms() and not is_reference(algorithm):
        raise SettingError(unknown_algorithm(algorithm, list(algorithms())))
    one_thread = bool(options) and all(
        fits_one_thread(envs, batch_size or 256, hidden or (256, 256), str(env).startswith("pixels/"))
        for envs in num_envs or (1,)
    )
    prepare(max((1, *(seeds or ()))) if options else 8, one_thread, cache=False)
    (_combinations if options else _beside_limit)(options, seconds, json)


def _beside_limit(options: dict[str, Any], seconds: float, json: bool) -> None:
    from ddpg_jax.runs import bench

    def show(rows):
        _print("DDPG on Pendulum-v1", BESIDE_LIMIT, rows, LIMIT, json)

    _watch(bench.table(seconds), ("workload",), show, json)


def _combinations(options: dict[str, Any], seconds: float, json: bool) -> None:
    from ddpg_jax.runs.measure import measurements

    def show(rows):
        first = rows[0]
        shared = f"hidden {' '.join(map(str, first['hidden'])) or 'none'}, batch_size {first['batch_size']}"
        title = f"{first['algorithm']} on {first['env']}, {shared}, updates_per_step {first['updates_per_step']}"
        _print(title, COMBINATIONS, rows, MEMORY, json)

    _watch(measurements(**options, seconds=seconds), ("seeds", "num_envs"), show, json)


def _watch(found: Iterable[Row], names: Sequence[str], show: Callable[[list[Row]], None], quiet: bool) -> None:
    """Says of each row that it is measured when it is, and shows all of them: at the end, or where a signal ends it."""
    rows: list[Row] = []

    def show_what_there_is():
        with contextlib.suppress(Exception):  # standard output may be gone
            if rows:
                show(rows)

    with undone_at_once(show_what_there_is):
        for row in found:
            rows.append(row)
            if not quiet:
                words = ", ".join(f"{row[name]}" if name == "workload" else f"{name} {row[name]}" for name in names)
                rate = row.get("env_steps_per_s_of_all_seeds", row.get("env_steps_per_s"))
                print_line(f"  {words}: {rate:,.0f} environment steps/s{busy_words(row)}")
    show(rows)


def busy_words(row: dict[str, Any]) -> str:
    """What is said of a row that was measured while others used the machine."""
    others = row["other_cores"]
    return f", while other processes used {others:.1f} cores" if is_busy(others) else ""


def _print(title: str, columns: Sequence[Column], rows: list[dict[str, Any]], caption: str, json: bool) -> None:
    """Prints the rows as one JSON object or as a table, in which those of a busy machine are marked."""
    from ddpg_jax.runs.bench import machine

    if json:
        print_line(dumps({"machine": machine(), "rows": rows}))
        return
    cells = [["" if row.get(name) is None else written(row[name]) for name, _, written in columns] for row in rows]
    busy = [row for row in rows if busy_words(row)]
    for row, shown in zip(rows, cells, strict=True):
        shown[0] += " *" * (row in busy)
    printed = table(f"{title}; {machine()}", [head for _, head, _ in columns], cells)
    most = max((row["other_cores"] for row in busy), default=0)
    marked = f" *: other processes used up to {most:.1f} cores meanwhile, so that these rows may be too slow."
    printed.caption = caption + marked * bool(busy)
    console().print(printed)
