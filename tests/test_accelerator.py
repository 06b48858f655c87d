"""The benchmark for a machine with an accelerator, rehearsed: every stage in toy size, and what a bad one leaves."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import accelerator
import jax.numpy as jnp
import numpy as np
import pytest
from on_device import states, training
from on_device.report import Report
from on_device.rows import LONGEST, finite, worded
from test_bench import TINY, flops

from ddpg_jax.runs import matmul_limit

SCRIPT = Path(accelerator.__file__)
OPTIONS = Namespace(toy=True, peers=Path("nowhere"), threads=1)


def run(*args):
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, args)], capture_output=True, text=True, timeout=1500)


@pytest.mark.slow
def test_every_stage_has_a_result_and_none_an_error(tmp_path):
    done = run("--toy", "--out", tmp_path, "--minutes", 20, "--peers", tmp_path)
    assert done.returncode == 0, done.stderr
    stages = json.loads((tmp_path / "cpu.json").read_text())["stages"]
    assert list(stages) == list(accelerator.STAGES)
    for name, stage in stages.items():
        assert stage["status"] in ("done", "skipped"), (name, stage)
        assert stage["rows"], name
        assert not [row for row in stage["rows"] if "error" in row], name
    rows = {name: {row["name"]: row for row in stage["rows"]} for name, stage in stages.items()}
    assert rows["correctness"]["ddpg"]["within_bound"]
    assert rows["correctness"]["checkpoint"]["goes_on_to_the_bit"]
    assert rows["again"]["ddpg"]["same_bits"]
    assert rows["facts"]["requirements"]["unmet"] == []
    assert all(row["updates_per_s"] > 0 for row in rows["seeds"].values())
    assert str(tmp_path) not in (tmp_path / "cpu.json").read_text()


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A report of a device with an earlier result, and stages that are played by a script."""
    (tmp_path / "cpu.json").write_text(json.dumps({"stages": {"seeds": {"status": "done", "rows": []}}}))
    report = Report(tmp_path, list(accelerator.STAGES))

    def play(name, code, limit=60.0):
        script = tmp_path / "stage.py"
        script.write_text(f"import json, os, sys, time\ndef put(**row): print(json.dumps(row), flush=True)\n{code}\n")
        monkeypatch.setattr(accelerator, "__file__", str(script))
        accelerator.run_stage(name, report, limit, OPTIONS, str(tmp_path))
        return json.loads(report.path.read_text())["stages"]

    play("facts", "put(name='device', device='CPU')")
    return play


def test_rows_of_equal_names_are_one_row_and_other_stages_stay(report):
    stages = report("classic", "put(name='a', x=1); put(name='b'); put(name='a', y=2)")
    assert stages["classic"]["rows"] == [{"name": "a", "x": 1, "y": 2}, {"name": "b"}]
    assert stages["classic"]["status"] == stages["seeds"]["status"] == "done"


def test_a_stage_that_crashes_leaves_its_rows(report):
    stage = report("classic", "put(name='a'); os.kill(os.getpid(), 11)")["classic"]
    assert (stage["status"], stage["error"]) == ("failed", "the process ended with SIGSEGV")
    assert stage["rows"] == [{"name": "a"}]


def test_a_stage_that_hangs_is_ended_with_what_it_has_started(report, tmp_path):
    started = "import subprocess; child = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(child.pid))"
    stage = report("classic", f"os.chdir({str(tmp_path)!r}); {started}; put(name='a'); time.sleep(60)", 3.0)["classic"]
    assert stage["status"] == "out of time"
    assert stage["seconds"] < 30
    assert stage["rows"] == [{"name": "a"}]
    status = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not status.exists() or ") Z" in status.read_text()


def test_a_row_with_an_error_fails_its_stage_and_a_skipped_one_says_why(report):
    assert report("classic", "put(name='a', error='no'); put(name='b')")["classic"]["error"] == "a: no"
    assert report("peers", "put(name='a', skipped='absent')")["peers"]["reason"] == "absent"


def test_stages_for_which_no_time_is_left_are_recorded(tmp_path):
    done = run("--toy", "--out", tmp_path, "--minutes", "0.2", "--stages", "ceilings", "classic")
    assert done.returncode == 0, done.stderr
    stages = json.loads((tmp_path / "cpu.json").read_text())["stages"]
    assert {name: stage["status"] for name, stage in stages.items()} == {
        "facts": "done",
        "ceilings": "not run",
        "classic": "not run",
    }


def test_only_what_is_missing_is_run_again(tmp_path):
    report = Report(tmp_path, list(accelerator.STAGES))
    report.stages = {"seeds": {"status": "done"}, "classic": {"status": "failed"}, "peers": {"status": "skipped"}}
    names = accelerator.chosen(report, Namespace(stages=None, missing=True))
    assert set(accelerator.STAGES) - set(names) == {"facts", "seeds", "peers"}


def test_a_difference_is_the_largest_of_any_array():
    one = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([1.0])}
    assert states.difference(one, one) == 0
    assert states.difference({"a": jnp.array([3.0, 4.5]), "b": jnp.array([1.0])}, one) == pytest.approx(0.1)
    assert states.difference({"a": jnp.array([3.0, jnp.nan]), "b": jnp.array([1.0])}, one) == np.inf
    assert not states.same_bits({"a": jnp.array([0.0])}, {"a": jnp.array([-0.0])})


@pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
def test_operations_are_counted_as_in_the_bench(algorithm):
    work = TINY._replace(algorithm=algorithm)
    if algorithm == "ddpg":
        expected = sum(count * flops(*product) for product, count in matmul_limit.products(work).items())
        assert training.update_flops(work) == expected
    assert training.update_flops(work._replace(batch_size=8)) == 2 * training.update_flops(work)


def test_errors_name_no_folder_of_this_machine():
    root = str(SCRIPT.parents[1])
    assert worded(OSError(f"{root}/x is\nnot there")) == "OSError: ./x is not there"
    assert len(worded(ValueError("x" * 10_000))) < LONGEST + 30
    assert finite({"a": [float("nan"), 1.0], "b": (float("inf"),)}) == {"a": [None, 1.0], "b": [None]}


def test_a_stage_sees_a_cpu_beside_the_accelerator(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert accelerator._environment(str(tmp_path), False)["JAX_PLATFORMS"] == "cuda,cpu"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert accelerator._environment(str(tmp_path), False)["JAX_PLATFORMS"] == os.environ["JAX_PLATFORMS"]
