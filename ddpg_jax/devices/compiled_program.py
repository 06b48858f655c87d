"""What a compiled program does, read from what XLA says of it: launches, decisions of the host, collectives."""

import collections
import re
from collections.abc import Iterator
from pathlib import Path

# Thunks that launch nothing themselves, but have others in them that do
CONTROL = {"kWhile", "kConditional", "kCommandBuffer", "kSequential", "kDynamicSliceFusion"}
COLLECTIVES = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"


def launches(dump: Path) -> tuple[int, int, int, int]:
    """Returns launches, copies, launches around the loop, and host decisions, from the thunks that XLA has dumped."""
    # XLA writes the second file only where its last passes have changed the first one.
    found = max(dump.glob("*.thunk_sequence*.txt"), key=lambda path: ("after" in path.name, path.stat().st_size))
    rows = list(_thunks(found.read_text(encoding="utf-8")))
    loops = [place for place, (_, kind) in enumerate(rows) if kind == "kWhile"]
    start = max(loops, key=lambda place: _end_of(rows, place) - place, default=None)  # the longest: the outermost one
    total = sum(kind.startswith("k") and kind not in CONTROL for _, kind in rows)
    if start is None:
        return total, sum(kind == "kCopy" for _, kind in rows), 0, 0
    inside = rows[start + 1 : _end_of(rows, start)]
    kinds = collections.Counter(kind for _, kind in inside if kind.startswith("k") and kind not in CONTROL)
    launches = sum(kinds.values())
    return launches, kinds["kCopy"], total - launches, _host_decisions(rows[: _end_of(rows, start)])


def _thunks(text: str) -> Iterator[tuple[int, str]]:
    """Yields indentation and kind of each thunk, and of the parts of loops and branches."""
    for line in text.splitlines():
        if found := re.match(r"(\s*)(?:\d+: (k\w+)|(condition|body|true_branch|false_branch|branch_\d+):)", line):
            yield len(found[1]), found[2] or found[3]


def _end_of(rows: list[tuple[int, str]], start: int) -> int:
    """Returns the place after the last row that belongs to the loop at `start`."""
    indent = rows[start][0]
    after = (
        place for place in range(start + 1, len(rows)) if rows[place][0] <= indent and rows[place][1].startswith("k")
    )
    return next(after, len(rows))


def _host_decisions(rows: list[tuple[int, str]]) -> int:
    """Returns how many loops and branches are in no CUDA graph, in which the device decides them."""
    decisions, graphs = 0, list[int]()
    for indent, kind in rows:
        graphs = [outer for outer in graphs if outer < indent] if kind.startswith("k") else graphs
        decisions += kind in ("kWhile", "kConditional") and not graphs
        graphs += [indent] * (kind == "kCommandBuffer")
    return decisions


def collectives(text: str) -> dict[str, tuple[int, int]]:
    """Returns the collectives of a compiled program, with the bytes of what they return."""
    found: dict[str, list[int]] = {}
    for shape, kind in re.findall(rf"= (.*?) ({COLLECTIVES})(?:-start)?\(", text):
        sizes = [_bytes(dtype, dims) for dtype, dims in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape)]
        found.setdefault(kind, []).append(sum(sizes))
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}


def _bytes(dtype: str, dims: str) -> int:
    bits = int((re.findall(r"\d+", dtype) or ["8"])[0])
    size = 1
    for dim in filter(None, dims.split(",")):
        size *= int(dim)
    return size * max(bits, 8) // 8
