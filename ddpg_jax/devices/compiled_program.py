"""What a compiled program does, read from what XLA says of it: launches, decisions of the host, collectives.

XLA calls what a GPU's host does for a program thunks: a kernel, a copy, a CUDA graph, a loop. It dumps them as a tree.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Thunks that launch nothing themselves, but may have others in them that do
CONTROL = {"kWhile", "kConditional", "kCommandBuffer", "kSequential", "kDynamicSliceFusion"}
CONTROL |= {"kAsyncStart", "kAsyncDone"}
COLLECTIVES = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"


class Launches(NamedTuple):
    """What one iteration of a program's main loop launches, and what the host does for it.

    A branch counts with the side that launches more. An inner loop counts as often as it runs, or once where only the
    device knows how often that is.
    """

    launches: int  # kernels and copies
    fewest: int  # the same where a branch takes its shorter side, and an inner loop of unknown length ends at once
    copies: int  # of these
    sorting: int  # of these; XLA splits a sort into many kernels where it cannot ask the device, and into few elsewhere
    submitted: int  # kernels, copies and CUDA graphs that the host launches
    host_decisions: int  # loops of unknown length and branches for whose outcome the host waits
    around: int  # launches before and after the loop


class Thunk(NamedTuple):
    """A step of a program, with what is inside it; a loop has parts `condition` and `body`, a branch its sides."""

    number: int
    kind: str
    kernel: str
    parts: dict[str, list["Thunk"]]

    def inside(self) -> list["Thunk"]:
        """Returns the thunks of all parts."""
        return [thunk for part in self.parts.values() for thunk in part]


def launches(dump: Path) -> Launches:
    """Returns what the largest program in a folder of XLA's dumps launches."""
    # The second file is there only where a pass has changed something
    names = ("thunk_sequence.txt", "thunk_sequence_after_thunk_passes.txt")
    found = [(path.stat().st_size, place, path) for place, name in enumerate(names) for path in dump.glob(f"*.{name}")]
    if not found:
        raise FileNotFoundError("XLA has dumped no thunks")
    module = max(found)[2].name.partition(".thunk_sequence")[0]
    thunks = next(path for name in reversed(names) if (path := dump / f"{module}.{name}").exists())
    program = _tree(thunks.read_text(encoding="utf-8"))
    trips = _trip_counts(dump, module)
    loops = [(_iteration(loop, trips, graph), loop, graph) for loop, graph in _loops(program.inside(), graph=False)]
    total = _count(program, trips)
    if not loops:
        return _launches(total, around=0)
    one, loop, graph = max(loops, key=lambda found: found[0]["launches"])
    around = total["launches"] - _count(loop, trips, graph)["launches"]
    return _launches(one, around)


def _launches(iteration: Counter[str], around: int) -> Launches:
    return Launches(**{name: iteration[name] for name in Launches._fields if name != "around"}, around=around)


def _tree(text: str) -> Thunk:
    """Returns the thunks of XLA's dump, as parts of one that stands for the program."""
    program = Thunk(-1, "kSequential", "", {})
    opened: list[tuple[int, Thunk]] = [(-1, program)]
    for line in text.replace("No thunks.", "\n").splitlines():  # which XLA lets the next part follow on the same line
        found = re.match(r"(\s*)(?:(\d+): (k\w+)\s*(?:\[.*?\]\s*(\w*))?|(condition|body|\w*branch\w*):)", line)
        if not found:
            continue
        space, number, kind, kernel, part = found.groups()
        while part != "condition" and opened[-1][0] >= len(space):  # XLA does not indent the word condition
            opened.pop()
        parts = opened[-1][1].parts
        if part:
            parts[part] = []
            continue
        thunk = Thunk(int(number), kind, kernel or "", {})
        parts.setdefault(next(reversed(parts), ""), []).append(thunk)
        opened.append((len(space), thunk))
    return program


def _trip_counts(dump: Path, module: str) -> dict[int, int]:
    """Returns how often each loop of known length runs, by the number of its thunk."""
    metadata = dump / f"{module}.thunk_metadata.txt"
    if not metadata.exists():
        return {}
    texts = [path.read_text(encoding="utf-8") for path in dump.glob(f"{module}.*gpu_after_optimizations.txt")]
    known = dict(re.findall(r'%(\S+) = [^\n]* while\([^\n]*"known_trip_count":\{"n":"(\d+)"', "\n".join(texts)))
    loops = re.findall(
        r'profile_annotation: "([^"]*)"\s+thunk_id: (\d+)\s*\}\s*thunk_kind: "kWhile"',
        metadata.read_text(encoding="utf-8"),
    )
    return {int(number): int(known[name]) for name, number in loops if name in known}


def _loops(thunks: list[Thunk], graph: bool) -> Iterator[tuple[Thunk, bool]]:
    """Yields the loops that are in no other loop, and whether they are in a CUDA graph."""
    for thunk in thunks:
        if thunk.kind == "kWhile":
            yield thunk, graph
        else:
            yield from _loops(thunk.inside(), graph or thunk.kind == "kCommandBuffer")


def _count(thunk: Thunk, trips: dict[int, int], graph: bool = False) -> Counter[str]:
    """Returns what a thunk launches, inside a CUDA graph or not, and how often the host waits for a decision."""
    if thunk.kind == "kWhile":
        one, times = _iteration(thunk, trips, graph), trips.get(thunk.number)
        if times is None:
            return Counter(one | {"fewest": _sum(thunk.parts.get("condition", []), trips, graph)["fewest"]})
        return Counter({name: number * times for name, number in one.items()})
    if thunk.kind == "kConditional":
        sides = [_sum(part, trips, graph) for part in thunk.parts.values()]
        longer = max(sides, key=lambda side: side["launches"])
        fewest = min(side["fewest"] for side in sides)
        return Counter(longer | {"fewest": fewest}) + Counter(host_decisions=int(not graph))
    if thunk.kind in CONTROL:
        is_graph = thunk.kind == "kCommandBuffer"
        return _sum(thunk.inside(), trips, graph or is_graph) + Counter(submitted=int(is_graph and not graph))
    sorting = re.match(r"sort_\d", thunk.kernel) is not None
    return Counter(
        launches=1, fewest=1, copies=int(thunk.kind == "kCopy"), sorting=int(sorting), submitted=int(not graph)
    )


def _iteration(loop: Thunk, trips: dict[int, int], graph: bool) -> Counter[str]:
    """Returns the same of one iteration of a loop; where its length is known, its condition is not looked at."""
    if loop.number in trips:
        return _sum(loop.parts.get("body", []), trips, graph)
    return _sum(loop.inside(), trips, graph) + Counter(host_decisions=int(not graph))


def _sum(thunks: list[Thunk], trips: dict[int, int], graph: bool) -> Counter[str]:
    return sum((_count(thunk, trips, graph) for thunk in thunks), Counter[str]())


def collectives(text: str, loops_only: bool = False) -> dict[str, tuple[int, int]]:
    """Returns the collectives of a compiled program: how many of a kind, and the bytes of what they return.

    Args:
      text: the program in XLA's HLO.
      loops_only: without those around its loops.
    """
    found: dict[str, list[int]] = {}
    for shape, kind in re.findall(rf"= (.*?) ({COLLECTIVES})(?:-start)?\(", _in_loops(text) if loops_only else text):
        sizes = [_bytes(dtype, dims) for dtype, dims in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape)]
        found.setdefault(kind, []).append(sum(sizes))
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}


def _in_loops(text: str) -> str:
    """Returns the computations of a program that its loops run."""
    computations = dict(re.findall(r"(?ms)^(?:ENTRY )?%(\S+) \(.*?\{\n(.*?)^\}", text))
    names = set(re.findall(r"\bbody=%([\w.-]+)", text))
    while more := {name for each in names for name in re.findall(r"%([\w.-]+)", computations.get(each, ""))} - names:
        names |= more  # those of instructions among them, which name no computation
    return "\n".join(computations.get(name, "") for name in sorted(names))


def _bytes(dtype: str, dims: str) -> int:
    bits = int((re.findall(r"\d+", dtype) or ["8"])[0])
    size = 1
    for dim in filter(None, dims.split(",")):
        size *= int(dim)
    return size * max(bits, 8) // 8
