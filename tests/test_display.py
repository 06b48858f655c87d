"""What a person sees of a run, on a terminal and in a pipe, and where else its metrics go."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console
from toys import TINY

from ddpg_jax.cli import console
from ddpg_jax.cli.display import Display, quantities, returns, speed
from ddpg_jax.cli.main import main
from ddpg_jax.results.labels import NAMES, cell, named
from ddpg_jax.runs import metrics
from ddpg_jax.runs.plan import Plan

PLAN = Plan(bounds=[10, 100], num_envs=2, updates_per_step=1, replay_bytes=0, state_bytes=0, peak_bytes=0)
WORDS = f"train ddpg {TINY} --steps 80 --evaluations 2"


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
    assert found["evaluation return"].tolist() == [1, 3]
    assert found["overestimation of Q"].tolist() == [1, 3]
    assert found["mine"].tolist() == [7]
    assert "steps" not in found


@pytest.mark.parametrize("terminal", [True, False])
def test_rates_are_summed_over_seeds(terminal):
    """100 steps of each of three seeds in two seconds."""
    printed = shown(row(), row(200, 3.0), terminal=terminal)
    assert "150 env steps/s, 75 updates/s of all seeds" in printed
    assert "return 2.0 (1.0 to 3.0), 1 diverged" in printed
    assert "something happens" in printed
    assert "200 of 200 steps" in printed


@pytest.mark.parametrize("terminal", [True, False])
def test_the_steps_of_another_part_of_a_sweep_begin_anew(terminal):
    """Where one has ended at 200 steps, the next is at 100 after its first chunk."""
    rows = [row(200, 3.0), row(100, 5.0), row(200, 6.0)]
    assert "env steps/s" not in shown(*rows[:2], terminal=terminal)
    assert "300 env steps/s, 150 updates/s of all seeds" in shown(*rows, terminal=terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_no_rate_and_no_time_left_has_compilation_in_it(terminal):
    """Of the 42 seconds of the first chunk 40 were compilation; half the steps are left."""
    rows = [row(0, 10.0, compile_seconds=9.0), row(100, 52.0, compile_seconds=49.0)]
    printed = shown(*rows, terminal=terminal)
    assert "150 env steps/s, 75 updates/s of all seeds" in printed
    assert "about 2 s left" in printed
    assert "compile" not in printed


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_compiled_has_a_time_on_a_terminal_and_lines_elsewhere(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with Display(console) as display:
        for words in ("compiling the training", "compiling the training: 10 s so far"):
            display.log(words)
        during = console.file.getvalue()
        display.log("compiled the training in 12 s")
        display.on_chunk(row(), PLAN)
    printed = console.file.getvalue()
    assert ("compiling the training 0:00:00" in during) == terminal
    assert ("10 s so far" in printed) != terminal
    assert "compiled the training in 12 s\n" in printed.replace("\r", "")
    assert "compiling" not in printed[printed.rindex("return 2.0") :]


def test_a_terminal_shows_all_quantities_and_a_file_a_line_each():
    rows = [row(steps, **{"critic/loss": [0.5, None, 1.5]}) for steps in (40, 200)]
    lines = shown(*rows, terminal=False).splitlines()
    assert len(lines) == 3
    assert "critic loss" not in "".join(lines)
    printed = shown(*rows, terminal=True)
    assert next(line for line in printed.splitlines() if "critic loss" in line).split()[2:] == ["1", "0.5", "1.5"]


def test_a_single_seed_has_no_spread_and_is_not_all_seeds():
    alone = row(200, 3.0) | {"eval_return": [-1234.56]}
    assert returns(alone) == "return -1,234.6"
    assert speed(alone, row() | {"eval_return": [0.0]}) == "50 env steps/s, 25 updates/s"
    assert speed(alone, None) == ""


def test_rows_without_a_number_are_shown_too():
    assert "3 diverged" in shown(row() | {"eval_return": [None] * 3}, terminal=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1234.56, "1,234.6"),
        (0.00012345, "0.000123"),
        (-9.876, "-9.88"),
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
        (1_000_000, "1,000,000"),
        (True, "True"),
        (None, "None"),
        ((64, 64), "(64, 64)"),
        ("[/b]", "[/b]"),
    ],
)
def test_a_cell_is_short_and_nothing_is_lost(value, words):
    assert cell(value) == words


def test_a_quantity_without_a_name_is_called_by_its_key():
    assert named("critic/grad_norm") == "critic grad norm"
    assert named("eval_return") == NAMES["eval_return"] == "evaluation return"


MARKUP = "a[/b] lr[red]x :smile: [link=x]"


def test_brackets_are_not_markup(capsys):
    """In lines, in tables, and in what a run says on a terminal or elsewhere, whatever the console does by itself."""
    console.print_line(MARKUP)
    console.console(width=200).print(console.table(MARKUP, [MARKUP], [[MARKUP]]))
    assert capsys.readouterr().out.count(MARKUP) == 4
    for terminal in (True, False):
        plain = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
        with Display(plain) as display:
            display.log(MARKUP)
            display.on_chunk(row(**{MARKUP: [1.0, None, 2.0]}), PLAN)
        assert plain.file.getvalue().count(MARKUP) == 1
        assert plain.file.getvalue().count(named(MARKUP)) == terminal  # as the name of a quantity


def test_a_table_controls_no_terminal(capsys):
    """Names in it may be those of another person's run."""
    console.console(width=200).print(console.table("\x1b[2Ja", ["\x1b]0;b\x07"], [["\x1b[8mc"], ["\x9bd"]]))
    printed = capsys.readouterr().out
    assert all(word in printed for word in (r"\x1b[2Ja", r"\x1b]0;b\x07", r"\x1b[8mc", r"\x9bd"))
    assert not {"\x1b", "\x07", "\x9b"} & set(printed)


def test_a_run_in_a_folder_with_brackets(tmp_path, capsys):
    """Its end is printed, the evaluation is written, and both can be looked at."""
    folder = tmp_path / "a[" / "b]lr[red]x :smile:"
    assert main([*WORDS.split(), "--no-tensorboard", "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"writing {folder}\n" in printed
    assert f"{folder}: checkpoints, config.json, curve.png, evaluation.json, metrics.jsonl\n" in printed
    assert "lqr (episodes of at most 7 steps), seeds 0 to 1 " in printed
    assert main(["plot", str(folder), "--out", str(folder / "[red].png")]) == 0
    assert f"{folder}/[red].png\n" in capsys.readouterr().out


def test_a_closed_pipe_is_silent():
    """As from `ddpg-jax train ddpg --help | head -1`, whose reader has gone before everything is written."""
    command = [sys.executable, "-m", "ddpg_jax", "train", "ddpg", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0


def test_quiet_prints_nothing_but_errors(tmp_path, capsys):
    assert main([*WORDS.split(), "--quiet", "--no-tensorboard", "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "run" / "tensorboard").exists()
    rows = metrics.read_rows(tmp_path / "run" / "metrics.jsonl", 2)
    assert {"eval_q", "eval_discounted", "eval_saturation", "critic/grad_norm", "noise_scale"} <= rows[-1].keys()
    assert main([*WORDS.split(), "--quiet", "--out", str(tmp_path / "run")]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_without_its_package_wandb_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*WORDS.split(), "--wandb", "project", "--out", str(tmp_path / "run")]) == 2
    assert "wandb must be None where the package is not installed" in capsys.readouterr().err
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
