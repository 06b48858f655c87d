"""How much of the machine other processes use while something is measured."""

import os
import time
from pathlib import Path

BUSY = 0.1  # share of all cores that others use, above which a measurement is marked
STAT = Path("/proc/stat")


class Load:
    """Counts the processor time of all other processes from here on."""

    def __init__(self) -> None:
        self._began, self._own, self._all = time.perf_counter(), _own_seconds(), _all_seconds()

    def others(self) -> float | None:
        """Returns how many cores other processes have used on average; None where the system does not say."""
        wall = max(time.perf_counter() - self._began, 1e-9)
        own, all_of_them = _own_seconds() - self._own, _all_seconds()
        if all_of_them is not None and self._all is not None:
            return max(0.0, (all_of_them - self._all - own) / wall)
        try:
            return max(0.0, os.getloadavg()[0] - own / wall)
        except (AttributeError, OSError):
            return None


def is_busy(others: float | None) -> bool:
    """Whether so many cores, used by other processes, make a measurement doubtful."""
    return others is not None and others > BUSY * (os.cpu_count() or 1)


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _all_seconds() -> float | None:
    """Returns the seconds in which any core has worked for anybody, on Linux; None elsewhere."""
    try:
        fields = [int(field) for field in STAT.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    user, nice, system, _idle, _waiting, *others = fields  # the rest: interrupts, and what a hypervisor has taken
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")
