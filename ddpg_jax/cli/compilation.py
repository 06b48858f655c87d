"""`ddpg-jax compile`: what XLA makes of a run on accelerators that are not here."""

import dataclasses
from json import dumps
from typing import Annotated, Any

import tyro
from rich.table import Table
from typing_extensions import Doc

from ddpg_jax.cli.console import console, print_line
from ddpg_jax.cli.settings import Settings
from ddpg_jax.core.settings import SettingError

MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Target:
    """The accelerators to compile for."""

    target: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME"),
        Doc("h100, a100, h100:8 (GPUs of a host), h100:16x8 (hosts x GPUs), or a TPU topology such as v5e:2x4"),
    ] = None
    only: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="PROGRAM ..."), Doc("programs: init, prefill, chunk, evaluate")
    ] = ("init", "prefill", "chunk", "evaluate")
    json: Annotated[bool, Doc("print one JSON object instead of a table")] = False


def compile_for_target(settings: Settings) -> int:
    """Compile a run for accelerators that are not here, and run nothing."""
    from ddpg_jax.devices.targets import prepare_targets
    from ddpg_jax.runs.compilation import PROGRAMS, compile_run

    algorithm, config, loop, run, processes, chosen = settings
    if chosen.target is None:
        raise SettingError("target must be given, as in `ddpg-jax compile ddpg --target h100`.")
    unknown = [name for name in chosen.only if name not in PROGRAMS]
    if unknown or not chosen.only:
        raise SettingError(f"only must name some of {', '.join(PROGRAMS)}, not {' '.join(unknown) or 'nothing'}.")
    prepare_targets()
    log = None if chosen.json or processes.quiet else print_line
    found = compile_run(algorithm, config, loop, run, chosen.target, tuple(chosen.only), log)
    if chosen.json:
        print_line(dumps(_as_json(found)))
    else:
        _show(found)
    return 0


def _as_json(found: Any) -> dict[str, Any]:
    target = {"name": found.target.name, "devices": len(found.target.devices), "bytes": found.target.memory}
    whole = {
        "planned_bytes": found.planned_bytes,
        "peak_bytes": found.peak_bytes,
        "fits": found.fits,
        "too_large": found.too_large,
        "chunk_steps": found.chunk_steps,
        "chunk_launches": found.chunk_launches,
    }
    programs = {name: program._asdict() for name, program in found.programs.items()}
    return {"target": target, "used_devices": found.layout.devices, **whole, "programs": programs}


def _show(found: Any) -> None:
    """Prints a line per program, and whether they fit."""
    used, names = found.layout.devices, list(found.programs)
    shown = Table("", *names, title=f"{found.target.name}, {used} device{'s' * (used > 1)} used")
    for column in shown.columns[1:]:
        column.justify = "right"
    lines = {
        "arguments, MiB of a device": [f"{one.argument_bytes / MIB:,.1f}" for one in found.programs.values()],
        "beside them, MiB": [f"{one.temporary_bytes / MIB:,.1f}" for one in found.programs.values()],
        "peak, MiB": [f"{one.peak_bytes / MIB:,.1f}" for one in found.programs.values()],
        "launches a step": [_count(one.launches) for one in found.programs.values()],
        "copies among them": [_count(one.copies) for one in found.programs.values()],
        "launched by the host, a step": [_count(one.submitted) for one in found.programs.values()],
        "launches around the loop": [_count(one.around) for one in found.programs.values()],
        f"launches in {found.chunk_steps:,} steps": [
            _count(found.chunk_launches if name == "chunk" else None) for name in found.programs
        ],
        "decided by the host, a step": [_count(one.host_decisions) for one in found.programs.values()],
        "collectives": [_moved(one.collectives) for one in found.programs.values()],
        "XLA's estimate": [_estimate(one.estimated_seconds) for one in found.programs.values()],
        "compiled in": [f"{one.compile_seconds:.1f} s" for one in found.programs.values()],
    }
    for head, cells in lines.items():
        if any(cell != "-" for cell in cells):
            shown.add_row(head, *cells)
    if names:
        console().print(shown)
    for name, why in found.too_large.items():
        print_line(f"{name} does not fit: {why}")
    if not names:
        return
    verdict = "fits in" if found.peak_bytes <= found.target.memory else "does not fit in"
    sizes = (found.peak_bytes, found.planned_bytes, found.target.memory)
    peak, planned, memory = (f"{size / MIB:,.1f} MiB" for size in sizes)
    print_line(f"the peak of {peak} {verdict} the {memory} of a device; the plan's figure is {planned}")


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _moved(collectives: dict[str, tuple[int, int]]) -> str:
    return "\n".join(f"{n} {kind}, {size:,} bytes" for kind, (n, size) in collectives.items()) or "-"


def _estimate(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e6:,.0f} µs"
