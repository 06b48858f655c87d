"""Settings of the test run: programs that compile fast and are compiled once, whichever process needs them."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import filelock
import pytest

# Tests compile far more than they compute. One thread per product: at these sizes a second one costs more than it
# brings. Level 0 takes a third of the compile time of the default; what computes for longer asks for another level.
FLAGS = ["--xla_cpu_multi_thread_eigen=false", "--xla_backend_optimization_level=0"]
FLAGS += ["--xla_cpu_parallel_codegen_split_count=1"]
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):  # where it is gone, and an unknown flag ends a process
    FLAGS += ["--xla_cpu_use_fusion_emitters=false"]  # half the time to compile, again
# Where `pytest --cache-clear` empties it. JAX's keys tell versions, flags and processors apart.
KEPT = Path(__file__).parent.parent / ".pytest_cache" / "d"
PROGRAMS = KEPT / "programs"
PROGRAMS_BYTES = 2**29  # more than twice what all tests compile

# Thousands of small files are written and synced; where there is a disk in memory, that costs nothing.
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 2**31:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")
# The processes that tests start import the same modules; without bytecode each compiles them anew, for three seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tracing makes many objects and hardly any circles; looking for them so rarely saves a sixth of the time.
gc.set_threshold(100_000, 20, 20)

# JAX reads these when it is imported or first used, and so do the processes that tests start.
flags = os.environ.get("XLA_FLAGS", "").split()
os.environ["XLA_FLAGS"] = " ".join(flags + [flag for flag in FLAGS if flag not in flags])
os.environ["JAX_NUM_CPU_DEVICES"] = "8"  # so that seeds and agents can be sharded
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ddpg_jax-tests-")  # the user's own cache stays as it is
os.environ["XDG_STATE_HOME"] = os.environ["XDG_CACHE_HOME"]  # where it is remembered which code may be imported
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
os.environ["MPLCONFIGDIR"] = str(KEPT / "matplotlib")  # its list of fonts takes a second to make
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(PROGRAMS)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Files that take longest, so that no worker begins one of them when the other has nothing left to do.
FIRST = (
    "test_docs",
    "test_faults",
    "test_multihost",
    "test_accelerator",
    "test_notebooks",
    "test_resume",
    "test_sweep",
    "test_streams",
    "test_algorithms",
    "test_data_parallel",
    "test_memory",
    "test_folders",
    "test_objects",
    "test_bench",
    "test_envs",
    "test_learning",
    "test_own_code",
    "test_sweep_resume",
    "test_divergence",
    "test_platforms",
    "test_contributing",
    "test_experiment",
    "test_agent",
    "test_export",
)


def pytest_configure(config):
    """Empties a cache that has grown too large, once per run and before workers start."""
    if hasattr(config, "workerinput") or not PROGRAMS.exists():
        return
    if sum(path.stat().st_size for path in PROGRAMS.iterdir()) > PROGRAMS_BYTES:
        shutil.rmtree(PROGRAMS)


@pytest.hookimpl(trylast=True)  # when tests have been chosen by their marks and names
def pytest_collection_modifyitems(config, items):
    """Leaves out what a slow test that is chosen, too, does with more of the same, and puts the files of `FIRST` first.

    `--dist loadfile --no-loadscope-reorder` hands files out in this order.
    """
    chosen = {(item.path, item.name) for item in items}
    twins = ((item, item.get_closest_marker("quick_twin")) for item in items)
    covered = [item for item, twin in twins if twin and (item.path, item.name.replace(*twin.args)) in chosen]
    config.hook.pytest_deselected(items=covered)
    items[:] = [item for item in items if item not in covered]
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(FIRST)))


def pytest_terminal_summary(terminalreporter):
    """Says what the tests took together: on two idle cores, `make test` may take 600 seconds of them."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "duration")]
    terminalreporter.write_line(f"{sum(report.duration for report in reports):.0f} s in tests of all workers")


def _remembered(function):
    """The function, whose result for equal arguments is one and the same object; an `Env` is equal to itself alone."""
    known = {}

    def call(*args, **options):
        key = tuple(id(arg) if hasattr(arg, "reset") else arg for arg in (*args, *sorted(options.items())))
        if key not in known:
            known[key] = function(*args, **options), args  # which are kept, as their ids are
        return known[key][0]

    return call


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The folder of a finished run of two seeds, one for all workers; a test that would change it copies it."""
    from toys import TINY

    from ddpg_jax.cli.main import main

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "tiny"
    with filelock.FileLock(base / "tiny.lock"):
        if not (folder / "evaluation.json").exists():
            assert main(f"train ddpg {TINY} --steps 80 --evaluations 2 --overwrite --out {folder}".split()) == 0
    return folder


@pytest.fixture(scope="module")
def same_programs():
    """Within a module, runs of equal shapes are given the same jitted functions: tracing them takes two seconds."""
    from ddpg_jax.runs import named, plan
    from ddpg_jax.sweeps import sweep, training

    with pytest.MonkeyPatch.context() as patch:
        make_env, make_programs = _remembered(named.make_env), _remembered(plan.make_programs)
        for module in (plan, sweep, training):
            patch.setattr(module, "make_programs", make_programs)
        patch.setattr(named, "make_env", make_env)
        yield
