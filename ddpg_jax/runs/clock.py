"""The seconds of a run, and what of them it spends compiling, which is said while it lasts."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from ddpg_jax.core.types import TrainState
from ddpg_jax.runs.programs import Programs

COMPILING = "compiling "  # begins a sentence that is true until the next one
EVERY = 10.0  # seconds after which it is said again
CACHE_HIT = "/jax/compilation_cache/cache_hits"  # JAX's event: a program was read from the compilation cache
COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's event: one was compiled, or read from the cache

# (a function under `jax.jit`, its arguments) -> the compiled program; calls nothing
Compile = Callable[..., Any]


class Clock:
    """How long a run takes.

    Programs are compiled ahead of their first call, which then finds them compiled: so the time of the compilation is
    known, and nothing that runs meanwhile is counted as compiling or the reverse.

    Args:
      say: called with a sentence about what is compiled, from another thread while that lasts.
      seconds, compile_seconds: what the run has taken so far, where it is resumed.
    """

    def __init__(self, say: Callable[[str], None] | None = None, seconds: float = 0.0, compile_seconds: float = 0.0):
        self._say = say or (lambda words: None)
        self._began = time.perf_counter() - seconds
        self.compile_seconds = compile_seconds

    def read(self) -> tuple[float, float]:
        """Returns the seconds since the run began, and those of them in which programs were compiled."""
        return time.perf_counter() - self._began, self.compile_seconds

    @contextlib.contextmanager
    def compiling(self, what: str) -> Iterator[Compile]:
        """A block in which the programs of a phase, such as "the warm-up", are compiled by calling what it yields."""
        took, read, found = 0.0, 0, 0
        self._say(f"{COMPILING}{what}")

        def compiled(program: Any, *args: Any) -> Any:
            nonlocal took, read, found
            began, before = time.perf_counter(), _events().copy()
            executable = program.lower(*args).compile()
            took += time.perf_counter() - began
            read += _events()[CACHE_HIT] - before[CACHE_HIT]
            found += _events()[COMPILED] - before[COMPILED]
            return executable

        with _said_every(EVERY, lambda seconds: self._say(f"{COMPILING}{what}: {seconds:,.0f} s so far")):
            yield compiled
        self.compile_seconds += took
        cached = ", from the cache" if found and read == found else ""
        self._say(f"compiled {what} in {took:,.1f} s{cached}")

    @contextlib.contextmanager
    def compiling_after(self, arrays: Any) -> Iterator[None]:
        """A block that compiles something small, once these arrays have been computed; nothing is said of it."""
        jax.block_until_ready(arrays)
        began = time.perf_counter()
        yield
        self.compile_seconds += time.perf_counter() - began

    def start(
        self, programs: Programs, keys: Any, config: Any, hyperparams: dict[str, Any] | None = None
    ) -> TrainState:
        """Compiles and does what `Programs.start` does."""
        per_seed = (keys, hyperparams or {})
        with self.compiling("the warm-up") as compiled:
            compiled(programs.init, per_seed, config)
            state = programs.init(per_seed, config)
            compiled(programs.prefill, state, config)
        return programs.prefill(state, config)


@functools.cache
def _events() -> dict[str, int]:
    """Returns how often JAX has reported each of two events since this was first called."""
    counts = {CACHE_HIT: 0, COMPILED: 0}

    def count(event: str, *args: Any, **options: Any) -> None:
        if event in counts:
            counts[event] += 1

    jax.monitoring.register_event_listener(count)
    jax.monitoring.register_event_duration_secs_listener(count)
    return counts


@contextlib.contextmanager
def _said_every(seconds: float, say: Callable[[float], None]) -> Iterator[None]:
    """Calls `say` with the seconds that the block has taken so far, every so many of them, from another thread."""
    began, done = time.perf_counter(), threading.Event()

    def tick() -> None:
        while not done.wait(seconds):
            say(time.perf_counter() - began)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
