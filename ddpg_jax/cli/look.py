"""`ddpg-jax evaluate` and `envs`: what is there to see."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Column, Table
from typing_extensions import Doc

from ddpg_jax.core.settings import SettingError


def evaluate(
    folder: Annotated[tyro.conf.Positional[Path], Doc("run folder")],
    episodes: Annotated[int, Doc("whole episodes per seed")] = 32,
    seed: Annotated[int, Doc("seed of the initial states")] = 0,
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False,
    gymnasium: Annotated[
        str | None, Doc("id of a Gymnasium environment to play in, instead of the one that was trained in")
    ] = None,
) -> Callable[[], None]:
    """`evaluate RUN`."""
    return lambda: run_evaluate(folder, episodes, seed, json, gymnasium)


def run_evaluate(folder: Path, episodes: int, seed: int, as_json: bool, gymnasium: str | None = None) -> None:
    """Plays and prints."""
    from ddpg_jax.deploy.play import evaluate_gymnasium, evaluate_run
    from ddpg_jax.devices.backend import prepare

    prepare()
    if gymnasium is None:
        report = evaluate_run(folder, episodes, seed)
    else:
        report = evaluate_gymnasium(folder, gymnasium, episodes, seed)
    if as_json:
        print(json.dumps(report))
    else:
        title = f"{report['algorithm']} on {report['environment']}, {episodes} deterministic episodes per seed"
        Console().print(table_of(report["seeds"], title))


def table_of(rows: list[dict[str, Any]], title: str) -> Table:
    """A row per seed."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def _cell(name: str, value: Any) -> str:
    if name == "diverged":
        return value or "no"
    if value is None:
        return "not finite"
    return str(value) if name == "seed" else f"{value:,.1f}"


def envs() -> Callable[[], None]:
    """`envs`."""
    return _list_envs


def _list_envs() -> None:
    from ddpg_jax.envs.make import SUITES, ids, make_env

    table = Table(Column("id", no_wrap=True, min_width=30), "observation", "action bounds", "episode length")
    for prefix in SUITES:
        with contextlib.suppress(SettingError):  # an extra that is not installed
            for name in ids(prefix):
                with contextlib.suppress(SettingError, OSError):  # discrete actions, or data to be downloaded
                    spec = make_env(name).spec
                    table.add_row(spec.name, str(spec.obs_shape), _bounds(spec), str(spec.episode_length))
    Console().print(table)


def _bounds(spec: Any) -> str:
    low, high = set(spec.action_low.ravel().tolist()), set(spec.action_high.ravel().tolist())
    if len(low) == len(high) == 1:
        return f"[{low.pop():g}, {high.pop():g}] x {spec.action_low.shape}"
    return f"{spec.action_low.tolist()} to {spec.action_high.tolist()}"
