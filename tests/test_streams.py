"""Standard output and error: closed, full, left by their reader, or without the letters of a name."""

import io
import os
import subprocess
import sys

import pytest
from toys import TINY, slow

from ddpg_jax.cli.main import main
from ddpg_jax.cli.streams import Stream, safe_streams

COMMAND = f"{sys.executable} -m ddpg_jax"
TRAIN = f"{COMMAND} train ddpg {TINY} --steps 80 --evaluations 2 --no-tensorboard --out run"
WARNING = "warning: standard output cannot be written"
FILES = {"checkpoints", "config.json", "metrics.jsonl", "evaluation.json", "curve.png"}


def shell(words, folder, **env):
    """(exit code, output, errors) of a line for bash, whose code is that of the first command in a pipe."""
    done = subprocess.run(
        ["bash", "-c", f"{words}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        capture_output=True,
        timeout=300,
        env=os.environ | env,
        check=False,
    )
    return done.returncode, *(text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))


@pytest.mark.parametrize(
    ("where", "warnings"),
    [
        (">/dev/full", 1),
        pytest.param(">&-", 1, marks=pytest.mark.slow),
        pytest.param("| head -1", 1, marks=pytest.mark.slow),
        pytest.param(">/dev/full 2>&-", 0, marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", 0, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_cannot_print_ends_well(where, warnings, tmp_path):
    code, _, errors = shell(f"{TRAIN} {where}", tmp_path)
    assert code == 0, errors
    assert errors.count(WARNING) == len(errors.splitlines()) == warnings
    assert {path.name for path in (tmp_path / "run").glob("[!.]*")} == FILES
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("where", [">/dev/full", *slow(">&-")])
@pytest.mark.parametrize("command", ["evaluate RUN --episodes 1 --json", "plot RUN --out a.png"])
def test_other_commands_have_their_exit_code(where, command, tiny_run, tmp_path):
    code, _, errors = shell(f"{COMMAND} {command.replace('RUN', str(tiny_run))} {where}", tmp_path)
    assert (code, errors.count(WARNING), len(errors.splitlines())) == (0, 1, 1), errors
    assert (tmp_path / "a.png").exists() == command.startswith("plot")


def test_a_table_whose_reader_has_gone_ends_in_silence(tmp_path, tiny_run):
    """As `ddpg-jax envs | head -1`, whose reader has read enough; a run in training says so instead."""
    code, _, errors = shell(f"{COMMAND} plot {tiny_run} --out a.png | true", tmp_path)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("where", ["2>/dev/full", *slow("2>&-")])
def test_an_error_that_nobody_reads_has_its_exit_code(where, tmp_path):
    code, output, _ = shell(f"{COMMAND} evaluate nowhere {where}", tmp_path)
    assert (code, output) == (2, "")


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, *slow({"PYTHONIOENCODING": "latin-1"})])
def test_letters_that_cannot_be_encoded_are_escaped(env, tmp_path, tiny_run):
    """In what is printed, at the end of a run and for an error."""
    out = "größe-☃"
    code, output, errors = shell(f"{COMMAND} plot {tiny_run} --out {out}.png", tmp_path, **env)
    assert (code, errors) == (0, "")
    assert r"e-\u2603.png" in output
    code, _, errors = shell(f"{COMMAND} evaluate {out}", tmp_path, **env)
    assert code == 2
    assert "Traceback" not in errors
    assert r"e-\u2603 is not a run folder" in errors


def test_a_path_that_is_not_utf8_is_refused_before_anything_is_written(tmp_path, capsys):
    out = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff")
    assert main(["train", "ddpg", *TINY.split(), "--steps", "80", "--out", out]) == 2
    errors = capsys.readouterr().err
    assert "error: out must be a folder that can be written, and " in errors
    assert "not UTF-8" in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Broken(io.StringIO):
    """A stream that takes so many texts."""

    def __init__(self, takes):
        super().__init__()
        self.takes = takes

    def write(self, text):
        self.takes -= 1
        if self.takes < 0:
            raise OSError(5, "Input/output error")
        return super().write(text)


def test_the_first_failure_is_named_and_the_rest_discarded():
    failures = []
    stream = Stream(broken := Broken(2), failures.append)
    assert [stream.write(text) for text in ("a", "bc", "d", "e")] == [1, 2, 1, 1]
    stream.writelines(["f", "g"])
    stream.flush()
    assert (broken.getvalue(), len(failures)) == ("abc", 1)
    assert stream.encoding == broken.encoding  # and all else is that of the stream


def test_streams_are_as_before_afterwards(capsys):
    before = sys.stdin, sys.stdout, sys.stderr, sys.stdout.errors

    def fail():
        with safe_streams():
            print("\ud800")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (sys.stdin, sys.stdout, sys.stderr, sys.stdout.errors) == before
    assert capsys.readouterr().out == "\\ud800\n"
