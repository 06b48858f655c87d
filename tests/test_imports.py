"""Imports point downwards only: the table below says what each room may know."""

import ast
from pathlib import Path

import pytest

import ddpg_jax

HOUSE = Path(ddpg_jax.__file__).parent
SKELETON = {
    "types",
    "axis",
    "draw",
    "settings",
    "losses",
    "noise",
    "layers",
    "networks",
    "replay",
    "normalise",
    "roles",
    "recipe",
}
ALLOWED = {
    "types": set(),
    "settings": set(),
    "losses": {"types"},
    "noise": {"types", "settings", "axis"},
    "layers": {"types", "axis"},
    "networks": {"types", "settings", "layers"},
    "replay": {"types", "settings", "draw"},
    "axis": set(),
    "normalise": {"types", "axis"},
    "roles": {"types", "axis"},
    "recipe": {"types", "settings", "replay", "normalise", "roles"},
    "algorithms": SKELETON | {"algorithms"},
    "envs": {"types", "settings", "draw", "envs"},
    "draw": {"types"},
    "seeds": set(),
    "device": {"seeds"},
    "health": {"types", "axis", "settings"},
    "train": {"types", "settings", "noise", "health", "draw", "envs.door"},
    "parallel": {"types", "settings", "train", "axis", "draw"},
    "evaluate": {"types", "settings", "envs.door"},
    "diagnose": {"types", "evaluate"},
    "rollout": {"types", "settings", "envs.door"},
    "drawing": {"types", "settings", "envs.pictures", "envs.quiet", "drawing", "outputs"},
    "render": {"types", "settings", "envs", "drawing", "rollout", "plan", "policy", "run_folder"},
    "policy": {"types", "settings", "algorithms", "checkpoint", "run_folder"},
    "export": {"types", "settings", "networks", "normalise", "policy", "outputs", "export"},
    "play": {"settings", "envs", "evaluate", "plan", "policy", "run_folder", "experiment"},
    "statistics": set(),
    "outputs": {"settings"},
    "metrics": {"settings", "outputs"},
    "run_folder": {"types", "settings", "algorithms", "outputs"},
    "history": {"metrics", "plan", "run_folder", "settings", "train"},
    "groups": {"history", "settings", "statistics"},
    "compare": {"groups", "history", "settings", "statistics"},
    "captions": {"compare"},
    "figures": {"captions", "compare", "groups", "settings"},
    "plotting": {"compare", "outputs", "figures"},
    "page": {"captions", "figures", "groups"},
    "film": {"page", "settings", "render"},
    "report": {
        "captions",
        "checkpoint",
        "film",
        "groups",
        "history",
        "outputs",
        "page",
        "run_folder",
        "settings",
        "statistics",
    },
}


def imported(file: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it, as "envs.door"."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    assert "ddpg_jax" not in names, f"{file} imports from the top, which imports everything"
    inside = {name.removeprefix("ddpg_jax.") for name in names if name.startswith("ddpg_jax.")}
    return {name for name in inside if module(name).exists() or module(name).with_suffix(".py").exists()}


def module(name: str) -> Path:
    return HOUSE / name.replace(".", "/")


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_point_downwards(room):
    """A room imports only what its row of the table allows."""
    files = [HOUSE / f"{room}.py"] if (HOUSE / f"{room}.py").exists() else sorted((HOUSE / room).glob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            assert {name, name.split(".")[0]} & ALLOWED[room], f"{file.name} imports {name}"


def test_importing_is_seen():
    """The reader above finds what is there."""
    assert imported(HOUSE / "train.py") >= {"types", "settings", "noise", "envs.door"}
    assert imported(HOUSE / "algorithms" / "ddpg.py") >= {"recipe", "losses"}
