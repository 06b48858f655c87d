"""Reading a run folder while a run writes to it, and files that are no files."""

import contextlib
import os
import shutil
import threading
import time

import pytest
from trained import make_run

from ddpg_jax import SettingError, load_policy
from ddpg_jax.cli.main import main
from ddpg_jax.deploy.policy import load_learners
from ddpg_jax.results.history import read_history
from ddpg_jax.results.report import report
from ddpg_jax.runs import reading
from ddpg_jax.runs.checkpoint import Damaged, read_metadata, saved_steps
from ddpg_jax.runs.files import read_bytes


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", "ddpg")


@contextlib.contextmanager
def rotating(folder, keep=1):
    """Another checkpoint every few milliseconds, written beside its name, and the oldest removed file by file."""
    over, faults = threading.Event(), []

    def rotate():
        checkpoints = folder / "checkpoints"
        (step,) = saved_steps(folder)
        while not over.is_set():
            shutil.copytree(checkpoints / str(step), checkpoints / "new.orbax-checkpoint-tmp")
            (checkpoints / "new.orbax-checkpoint-tmp").rename(checkpoints / str(step + 1))
            step += 1
            for old in saved_steps(folder)[:-keep]:
                shutil.rmtree(checkpoints / str(old))
            for name in ("config.json", "evaluation.json"):
                shutil.copy(folder / name, folder / "another.tmp")
                os.replace(folder / "another.tmp", folder / name)
            time.sleep(0.005)

    def watched():
        try:
            rotate()
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not faults


def test_policies_are_loaded_while_checkpoints_rotate(run):
    with rotating(run):
        for _ in range(8):
            assert load_policy(run).seed == 4


def test_a_report_is_written_while_checkpoints_rotate(run, tmp_path):
    with rotating(run, keep=3):
        for number in range(4):
            page = report(run, tmp_path / f"{number}.html", pictures=False)
            assert "damaged" not in page.read_text()


def test_what_is_still_there_and_cannot_be_read_is_damaged(run):
    """At once, without another try."""
    (run / "checkpoints" / "7" / "metadata" / "metadata").write_text("{}")
    began = time.perf_counter()
    with pytest.raises(Damaged):
        load_learners(run)
    assert time.perf_counter() - began < 1.0


def test_tries_are_bounded(run, monkeypatch):
    """Where a file changes each time."""
    monkeypatch.setattr(reading, "PAUSE", 0.0)
    calls = []

    @reading.reads_again
    def read(folder):
        calls.append(folder)
        (folder / "config.json").write_text("x" * len(calls))
        raise SettingError("no")

    with pytest.raises(SettingError, match="no"):
        read(run)
    assert len(calls) == reading.TRIES + 1


def test_a_run_that_is_replaced_is_read_anew(run, monkeypatch):
    """config.json and its checkpoint are of two runs at the first look, and of one at the second."""
    from ddpg_jax.deploy import policy

    real, replaced = policy.read_run, []

    def read_run(folder):
        found = real(folder)
        if not replaced:
            text = (folder / "config.json").read_text()
            replaced.append(text)
            (folder / "config.json").write_text(text + "\n")
            found.contents["config"]["tau"] = 0.123
        return found

    monkeypatch.setattr(policy, "read_run", read_run)
    assert load_learners(run)[2].contents["config"]["tau"] != 0.123


def special(path, kind):
    if path.exists():
        path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_only_regular_files_are_read(kind, run, tmp_path, capsys):
    """A pipe would be waited for, and a device never ends."""
    special(tmp_path / "it", kind)
    with pytest.raises(OSError, match="it is not a regular file"):
        read_bytes(tmp_path / "it")
    special(run / "metrics.jsonl", kind)
    with pytest.raises(SettingError, match=r"metrics\.jsonl cannot be read \(it is not a regular file\)"):
        read_history(run)
    special(run / "evaluation.json", kind)
    with pytest.raises(SettingError, match=r"evaluation\.json cannot be read \(it is not a regular file\)"):
        load_policy(run)
    special(next((run / "checkpoints" / "7" / "learner").rglob("d/*")), kind)
    if kind != "folder":
        with pytest.raises(Damaged, match=r"is damaged \(it is not a regular file\)"):
            load_learners(run)
    special(run / "checkpoints" / "7" / "metadata" / "metadata", kind)
    with pytest.raises(Damaged, match=r"metadata is damaged \(it is not a regular file\)"):
        read_metadata(run, 7)
    special(run / "config.json", kind)
    assert main(["evaluate", str(run)]) == 2
    errors = capsys.readouterr().err
    assert "config.json cannot be read (it is not a regular file)" in errors
    assert errors.count("\n") == 1
