"""display.py: what a person sees of a row; metrics.py: where else it goes."""

import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from ddpg_jax.cli.display import Display, quantities
from ddpg_jax.cli.main import main
from ddpg_jax.runs import metrics
from ddpg_jax.runs.plan import Plan

PLAN = Plan(bounds=[10, 100], num_envs=2, updates_per_step=1, replay_bytes=0, state_bytes=0, peak_bytes=0)
WORDS = (
    "train ddpg --env lqr --episode-length 7 --steps 80 --seeds 2 --hidden 4 --batch-size 4 --replay-capacity 100 "
    "--warmup-steps 40 --evaluations 2 --eval-episodes 1"
)


def row(steps=100, seconds=1.0, **more):
    return {"steps": steps, "updates": steps // 2, "seconds": seconds, "eval_return": [1.0, None, 3.0]} | more


def shown(*rows, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with Display(console) as display:
        display.log("something happens")
        for one in rows:
            display.on_chunk(one, PLAN)
    return console.file.getvalue()


def test_a_quantity_is_that_of_the_seeds_alive():
    found = dict(quantities(row(eval_q=[5.0, None, 9.0], eval_discounted=[4.0, None, 6.0], mine=[None, None, 7.0])))
    assert found["return"].tolist() == [1, 3]
    assert found["overestimation"].tolist() == [1, 3]
    assert found["mine"].tolist() == [7]
    assert "steps" not in found


@pytest.mark.parametrize("terminal", [True, False])
def test_rates_are_summed_over_seeds(terminal):
    """100 steps of each of three seeds in two seconds."""
    printed = shown(row(), row(200, 3.0), terminal=terminal)
    assert "150 steps/s, 75 updates/s" in printed
    assert "return 2.0 (1.0 to 3.0), 1 diverged" in printed
    assert "something happens" in printed
    assert "200 of 200 steps" in printed


def test_a_terminal_shows_all_quantities_and_a_file_a_line_each():
    rows = [row(steps, **{"critic/loss": [0.5, None, 1.5]}) for steps in (40, 200)]
    lines = shown(*rows, terminal=False).splitlines()
    assert len(lines) == 3
    assert "critic loss" not in "".join(lines)
    printed = shown(*rows, terminal=True)
    assert next(line for line in printed.splitlines() if "critic loss" in line).split()[2:] == ["1", "0.5", "1.5"]


def test_rows_without_a_number_are_shown_too():
    assert "3 diverged" in shown(row() | {"eval_return": [None] * 3}, terminal=True)


def test_quiet_prints_nothing_but_errors(tmp_path, capsys):
    assert main([*WORDS.split(), "--quiet", "--no-tensorboard", "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "run" / "tensorboard").exists()
    rows = metrics.read_rows(tmp_path / "run" / "metrics.jsonl", 2)
    assert {"eval_q", "eval_discounted", "eval_saturation", "critic/grad_norm", "noise_scale"} <= rows[-1].keys()
    assert main([*WORDS.split(), "--quiet", "--out", str(tmp_path / "run")]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_every_sink_hears_what_its_seed_measured(tmp_path):
    heard = [[], []]
    sinks = [[metrics.Sink(lambda values, steps, to=to: to.append((steps, values)), list)] for to in heard]
    writer = metrics.Writer(tmp_path, sinks)
    writer.write({"steps": 4, "updates": 2, "seconds": 0.5, "a": [1.0, None], "b": [2.0, 3.0]})
    writer.close()
    assert heard == [[(4, {"a": 1.0, "b": 2.0})], [(4, {"b": 3.0})]]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["b"] == [2.0, 3.0]


def test_without_its_package_wandb_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*WORDS.split(), "--wandb", "project", "--out", str(tmp_path / "run")]) == 2
    assert "wandb must be None where the package is missing" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_and_biases_keeps_a_run_per_seed(tmp_path):
    """Offline, in a process of its own, since it leaves a service behind; read back by its own reader."""
    pytest.importorskip("wandb")
    command = [sys.executable, "-m", "ddpg_jax", *WORDS.split(), "--wandb", "ours", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"WANDB_MODE": "offline"}
    )
    assert done.returncode == 0, done.stderr
    token = (tmp_path / "run" / "wandb" / "token").read_text()
    kept = sorted(path.name.rsplit("-", 2)[1:] for path in (tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert kept == [[token, "0"], [token, "1"]]
    assert all(path.stat().st_size > 1000 for path in (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
