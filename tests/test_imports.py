"""The law of imports: core <- algorithms, envs, devices <- runs <- sweeps, deploy <- results <- cli, and no circle."""

import ast
import graphlib
import importlib
import pkgutil
import re
import types
from pathlib import Path

import pytest

import ddpg_jax

PACKAGE = Path(ddpg_jax.__file__).parent
FLOORS = ({"core"}, {"algorithms", "envs", "devices"}, {"runs"}, {"sweeps", "deploy"}, {"results"}, {"cli"})
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))
# What core must not know: files, processes, the command line, and whatever prints.
OUTSIDE = {"argparse", "csv", "io", "json", "logging", "multiprocessing", "os", "pathlib", "pickle", "shutil", "signal"}
OUTSIDE |= {
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "tyro",
    "rich",
    "orbax",
    "matplotlib",
    "tensorboardX",
}


def name_of(file: Path) -> str:
    """runs/plan.py -> "runs.plan"; runs/__init__.py -> "runs"."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(file) for file in FILES}


def imported(source: str) -> set[str]:
    """Every module that a source text imports, anywhere in it; of this package also those named in a string."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = re.match(r"ddpg_jax\.([a-z_0-9.]+)", node.value)
            found |= {f"ddpg_jax.{named[1].rstrip('.')}"} if named else set()
    assert "ddpg_jax" not in found, "importing from the top imports everything"
    return found


def inside(source: str) -> set[str]:
    """The modules of this package among them, as "runs.plan"; the room itself where a string names only that."""
    names = {name.removeprefix("ddpg_jax.") for name in imported(source) if name.startswith("ddpg_jax.")}
    modules = {name for name in names if name in MODULES}
    return {name for name in modules if not any(other.startswith(f"{name}.") for other in modules)}


ROOMS = [file for file in FILES if file.parent != PACKAGE]


@pytest.mark.parametrize("file", ROOMS, ids=name_of)
def test_imports_point_downwards(file):
    """A file imports from its own room or from a floor below."""
    room = name_of(file).split(".")[0]
    for name in inside(file.read_text(encoding="utf-8")):
        other = name.split(".")[0]
        assert other == room or FLOOR[other] < FLOOR[room], f"{name_of(file)} imports {name}"


def test_there_is_no_circle():
    graph = {name_of(file): inside(file.read_text(encoding="utf-8")) - {name_of(file)} for file in ROOMS}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises where there is one


def test_core_opens_no_file_and_knows_no_command_line():
    for file in (PACKAGE / "core").glob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert not {name.split(".")[0] for name in imported(source)} & OUTSIDE, file
        calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"open", "print", "input"}, file


def test_the_top_holds_nothing_else():
    assert {path.name for path in PACKAGE.iterdir()} - {"__pycache__"} == {
        *FLOOR,
        "__init__.py",
        "__main__.py",
        "py.typed",
    }


def test_importing_is_seen():
    """The reader above finds what is there: plain imports, those inside a function, and strings."""
    assert imported("def f():\n    from ddpg_jax.runs.plan import Plan") >= {"ddpg_jax.runs.plan"}
    assert inside("import ddpg_jax.core.loop\nx = 'ddpg_jax.cli.main'") == {"core.loop", "cli.main"}
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_no_function_hides_a_module():
    """`import ddpg_jax.core.replay as m` gives the module, whatever its package exports under other names."""
    for name in filter(lambda name: "__" not in name, MODULES):
        package, _, leaf = f"ddpg_jax.{name}".rpartition(".")
        found = getattr(importlib.import_module(package), leaf, None)
        assert found is None or isinstance(found, types.ModuleType), name


@pytest.mark.parametrize("package", ["ddpg_jax", "ddpg_jax.core"])
def test_no_public_name_hides_a_module(package):
    """`import ddpg_jax.core.replay` must give the module, so no name that the package exports may be called so."""
    exported = importlib.import_module(package)
    modules = {module.name for module in pkgutil.iter_modules(exported.__path__)}
    assert set(exported.__all__) & modules == set()
    assert sorted(exported.__all__) == list(exported.__all__)
    assert all(hasattr(exported, name) for name in exported.__all__)


def test_core_offers_what_authors_import():
    """The example of CONTRIBUTING.md and the notebooks import from ddpg_jax.core itself, and not from its modules."""
    root = PACKAGE.parent
    texts = [root / "CONTRIBUTING.md", *(root / "notebooks").glob("*.ipynb")]
    assert len(texts) > 1
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"from ddpg_jax\.core\.\w+ import", text), path
    assert "from ddpg_jax.core import" in texts[0].read_text(encoding="utf-8")


def test_the_environments_adapters_are_named_in_full():
    """So the tests above see them: an id is made by a module that is imported by its name in a string."""
    source = (PACKAGE / "envs" / "suites.py").read_text(encoding="utf-8")
    adapters = {"envs.gymnax", "envs.brax", "envs.playground", "envs.pixels", "envs.lqr"}
    assert adapters <= inside(source)
    for adapter in adapters:
        assert not {"envs.make", "envs.suites"} & inside(
            (PACKAGE / f"{adapter.replace('.', '/')}.py").read_text(encoding="utf-8")
        )
