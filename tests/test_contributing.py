"""CONTRIBUTING.md: its example is run as it stands there, from Python and as a package that is only installed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ddpg_jax import LoopConfig, make_env, train
from ddpg_jax.runs import registry
from ddpg_jax.runs.registry import OWN

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(language):
    """The one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that looks like an installed package with the example and its entry point."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "gentle.py").write_text(block("python"), encoding="utf-8")
    info = folder / "gentle-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gentle\nVersion: 1.0\n")
    points = tomllib.loads(block("toml"))["project"]["entry-points"]["ddpg_jax.algorithms"]
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[ddpg_jax.algorithms]", *lines]))
    return folder


def command(folder, *args):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(
        [sys.executable, "-m", "ddpg_jax", *args], env=environment, capture_output=True, text=True, check=False
    )


def test_the_example_trains_from_the_command_line(installed, tmp_path):
    """Found by its entry point alone, with its own setting, metric and a policy that can be read back."""
    run = tmp_path / "run"
    flags = "--env lqr --steps 40 --warmup-steps 20 --batch-size 4 --evaluations 2 --eval-episodes 1 --hidden 4"
    done = command(installed, "train", "gentle", *flags.split(), "--charge", "2.5", "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["config"]["charge"] == 2.5
    assert "actor/size" in (run / "metrics.jsonl").read_text()
    assert command(installed, "evaluate", str(run), "--episodes", "2").returncode == 0
    gone = command(tmp_path, "evaluate", str(run))
    assert gone.returncode == 2
    assert f"{run}/config.json: algorithm must be one that is installed (ddpg, " in gone.stderr
    assert gone.stderr.endswith("not 'gentle'.\n")


def test_a_broken_package_is_named_and_stops_nothing(tmp_path):
    """Nor may one take a name of ours."""
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ddpg_jax.algorithms]\nbroken = nowhere:ALGORITHM\nddpg = math:pi\n")
    done = command(tmp_path, "train", "ddpg", "--steps", "0")
    assert done.returncode == 2
    assert "The algorithm 'broken' of nowhere:ALGORITHM is left out (ModuleNotFoundError" in done.stderr
    assert "The algorithm 'ddpg' of math:pi is left out (it is no Algorithm, or its name is taken)" in done.stderr
    assert "error: steps must be at least 1, not 0." in done.stderr
    assert "Traceback" not in done.stderr


def test_an_algorithm_of_another_package_takes_no_name_of_ours(monkeypatch):
    """Even if it is one; under a name of its own it is found."""
    points = [SimpleNamespace(name=name, value="other:ALGORITHM", load=lambda: OWN["sac"]) for name in ("ddpg", "new")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.warns(UserWarning, match="The algorithm 'ddpg' of other:ALGORITHM is left out"):
        found = registry._installed.__wrapped__()
    assert found == OWN | {"new": OWN["sac"]}


def test_the_example_does_what_it_says(installed, monkeypatch):
    """A high price shrinks the actions."""
    monkeypatch.syspath_prepend(installed)
    import gentle

    env = make_env("lqr", episode_length=5)
    loop = LoopConfig(num_envs=4, batch_size=16, replay_capacity=200, warmup_steps=40, pool_size=4)

    @jax.jit
    def size(charge):
        agent = gentle.gentle(gentle.GentleConfig(charge=charge, hidden=(8,), actor_lr=0.01), env.spec)
        return train(jax.random.key(0), env, agent, loop, steps=800, chunks=2)[1]["actor/size"][-1]

    cheap, dear = size(0.0), size(1000.0)
    assert np.isfinite(cheap)
    assert dear < 0.1 * cheap
