"""`ddpg-jax bench`: this machine beside its limit."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from typing_extensions import Doc

from ddpg_jax.core.settings import SettingError


def bench(
    seconds: Annotated[float, Doc("about how long to measure each row")] = 3.0,
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False,
) -> Callable[[], None]:
    """`bench`."""
    return lambda: _measure(seconds, json)


def _measure(seconds: float, as_json: bool) -> None:
    from ddpg_jax.devices.backend import prepare

    if not 0 < seconds <= 3600:
        raise SettingError(f"seconds must be above 0 and at most 3,600, not {seconds}.")
    prepare(seeds=8)
    from ddpg_jax.runs import bench

    rows = []
    for row in bench.table(seconds):
        rows.append(row)
        if not as_json:
            Console().print(f"  {row['workload']} measured")
    if as_json:
        print(json.dumps({"machine": bench.machine(), "rows": rows}))
        return
    table = Table(title=f"DDPG on Pendulum-v1; {bench.machine()}", caption="limit: the matrix products alone")
    heads = {
        "workload": "workload",
        "updates_per_s": "updates/s",
        "env_steps_per_s": "env steps/s",
        "first_update_s": "to first update",
        "limit_updates_per_s": "limit, updates/s",
        "share": "share of limit",
    }
    for head in heads.values():
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*(_measured(name, row.get(name)) for name in heads))
    Console().print(table)


def _measured(name: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return {"share": f"{value:.0%}", "first_update_s": f"{value:.1f} s"}.get(name, f"{value:,.0f}")
