"""Every option of a command reaches the function that does the work, of which nothing is done here."""

import importlib
import inspect
from pathlib import Path

import pytest
from trained import SPEC

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, SettingError
from ddpg_jax.cli.main import main
from ddpg_jax.runs.named import Named
from ddpg_jax.runs.run_folder import config_dict, write_config
from ddpg_jax.runs.stored_run import Run

RUN = Path("a run")
TRAINED = {"algorithm": "ddpg", "config.tau": 0.5, "loop.num_envs": 4, "run.seeds": 3, "run.out": Path("new")}
TRAIN = "ddpg --tau 0.5 --num-envs 4 --seeds 3 --out new"
RENDER = {"seed": 4, "episodes": 2, "start_seed": 5, "size": 90, "fps": 7.5, "max_steps": 6, "overwrite": True}
# The words after `ddpg-jax`, the function that does the work, and some of its arguments.
CALLS = [
    (f"train {TRAIN}", "runs.experiment.run_experiment", TRAINED),
    (
        f"sweep {TRAIN} --grid discount 0.5 0.9 --halving 2",
        "sweeps.sweep.sweep",
        TRAINED | {"halving": 2, "pbt": False},
    ),
    (
        f"sweep {TRAIN} --range discount uniform 0.5 0.5 --sample 2 --halving 1 --pbt",
        "sweeps.sweep.sweep",
        {"trials": [{"discount": 0.5}] * 2, "halving": 1, "pbt": True},
    ),
    ("resume RUN", "runs.resume.resume_experiment", {"steps": None, "devices": None, "accept_changes": False}),
    ("resume RUN --more 40", "runs.resume.resume_experiment", {"folder": RUN, "steps": None, "more": 40}),
    (
        "train --resume RUN --steps 40 --devices 2 --accept-changes",
        "runs.resume.resume_experiment",
        {"folder": RUN, "steps": 40, "devices": 2, "accept_changes": True},
    ),
    ("evaluate RUN --episodes 3 --seed 7", "deploy.evaluate.evaluate_run", {"folder": RUN, "episodes": 3, "seed": 7}),
    (
        "evaluate RUN --episodes 3 --seed 7 --gymnasium Other-v0",
        "deploy.evaluate.evaluate_gymnasium",
        {"folder": RUN, "env": "Other-v0", "episodes": 3, "seed": 7},
    ),
    (
        "render RUN --out a.gif --seed 4 --episodes 2 --start-seed 5 --size 90 --fps 7.5 --max-steps 6 --overwrite",
        "results.render.render",
        {"folder": RUN, "out": Path("a.gif")} | RENDER,
    ),
    (
        "export RUN --format onnx --out p.onnx --seed 4 --overwrite",
        "deploy.export.export",
        {"folder": RUN, "format": "onnx", "out": Path("p.onnx"), "seed": 4, "overwrite": True},
    ),
    (
        "plot RUN other --out f.png --x seconds --y critic/q --overwrite",
        "results.plot.plot",
        {"folders": (RUN, Path("other")), "out": Path("f.png"), "x": "seconds", "y": "critic/q", "overwrite": True},
    ),
    (
        "report RUN --out r.html --no-pictures --overwrite",
        "results.report.report",
        {"folder": RUN, "out": Path("r.html"), "pictures": False, "overwrite": True},
    ),
]


def part(arguments, name):
    """The argument of a name, or as "config.tau" a setting in it."""
    first, *rest = name.split(".")
    value = getattr(arguments[first], *rest) if rest else arguments[first]
    return value.folder if isinstance(value, Run) else value.name if isinstance(value, Named) else value


@pytest.mark.parametrize("kind", ["env", "algorithm"])
def test_a_new_file_may_have_a_name_that_is_no_utf8(kind, tmp_path, capsys):
    path = tmp_path / "a\udcff.py"
    assert main(["new", kind, str(path)]) == 0
    assert r"a\udcff.py" in path.read_text(encoding="utf-8")
    compile(path.read_bytes(), str(tmp_path), "exec")
    assert r"a\udcff.py" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "path", "expected"), CALLS, ids=[words for words, *_ in CALLS])
def test_options_reach_the_function(words, path, expected, tmp_path, monkeypatch, capsys):
    module, name = f"ddpg_jax.{path}".rsplit(".", 1)
    signature, calls = inspect.signature(getattr(importlib.import_module(module), name)), []

    def called(*args, **kwargs):
        calls.append(signature.bind(*args, **kwargs).arguments)
        raise SettingError("That is far enough.")

    monkeypatch.setattr(f"{module}.{name}", called)
    monkeypatch.chdir(tmp_path)
    RUN.mkdir()
    write_config(RUN, config_dict("ddpg", RunConfig(env=SPEC.name), LoopConfig(), DDPGConfig(), SPEC))
    assert main([str(RUN) if word == "RUN" else word for word in words.split()]) == 2
    assert capsys.readouterr().err == "error: That is far enough.\n"
    (arguments,) = calls
    assert {name: part(arguments, name) for name in expected} == expected
