"""multihost.py with real processes on this machine, each with one CPU device, joined by JAX's own runtime."""

import csv
import dataclasses
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, SettingError, load_policy
from ddpg_jax.cli.main import main
from ddpg_jax.devices import multihost
from ddpg_jax.runs.experiment import run_experiment

ENDS_WITHIN = 60  # seconds in which the others notice that a process has died
# The replay has room for the steps of the shortest run, so that longer ones have its shapes, and its programs.
LOOP = LoopConfig(num_envs=4, batch_size=8, replay_capacity=160, warmup_steps=40, pool_size=2)
CONFIG = DDPGConfig(hidden=(4,), normalize_obs=True)
RUN = RunConfig(env="lqr", episode_length=7, steps=160, evaluations=3, eval_episodes=2, checkpoint_seconds=0.0)
FLAGS = (
    "--num-envs 4 --batch-size 8 --replay-capacity 160 --warmup-steps 40 --pool-size 2 --hidden 4 --normalize-obs "
    "--env lqr --episode-length 7 --evaluations 3 --eval-episodes 2 --checkpoint-seconds 0"
)


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def started(count, words, slurm=False):
    """`count` processes of one command, in which INDEX is the index of each, joined by flags or as srun would do it."""
    port = free_port()
    own = {"JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, "-m", "ddpg_jax", *shlex.split(words)]
    flags = ["--distributed", "--coordinator", f"localhost:{port}", "--processes", str(count), "--process"]
    job = {"SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(count)}  # names a port
    told = [
        (job | {"SLURM_PROCID": str(index), "SLURM_LOCALID": str(index)}, []) if slurm else ({}, [*flags, str(index)])
        for index in range(count)
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    commands = [[word.replace("INDEX", str(index)) for word in command] for index in range(count)]
    return [
        subprocess.Popen([*words, *more], env=os.environ | own | env, **pipes)
        for words, (env, more) in zip(commands, told, strict=True)
    ]


def ended(processes, timeout=240):
    """(exit codes, outputs, errors), all processes dead at last."""
    try:
        said = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], *zip(*said, strict=True)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("count", "seeds", "devices", "slurm"),
    [
        pytest.param(2, 2, None, True, marks=pytest.mark.slow),
        (2, 1, 2, False),
        pytest.param(4, 2, 4, False, marks=pytest.mark.slow),
    ],
    ids=["seeds dealt to two tasks of slurm", "an agent shared by two", "two agents shared by two each"],
)
def test_processes_train_what_devices_of_one_would(count, seeds, devices, slurm, tmp_path):
    """Every line of the metrics to rounding, the same files, and one voice; under Slurm without a flag."""
    words = f"train ddpg {FLAGS} --steps 160 --seeds {seeds} --out {tmp_path / 'many'}"
    codes, said, errors = ended(started(count, words + (f" --devices {devices}" if devices else ""), slurm))
    assert codes == [0] * count, errors
    assert f"on {count} devices" in said[0].replace("\n", " ")
    assert "deterministic episodes per seed" in said[0]
    others = [line for output in said[1:] for line in output.splitlines() if not line.startswith("[Gloo]")]
    assert others == []
    run = dataclasses.replace(RUN, seeds=seeds, devices=devices or seeds, out=tmp_path / "one")
    run_experiment("ddpg", CONFIG, LOOP, run, log=lambda words: None)
    for ours, theirs in zip(lines_of(tmp_path / "many"), lines_of(tmp_path / "one"), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"seconds", "compile_seconds"}:
            np.testing.assert_allclose(
                np.array(ours[name], float), np.array(theirs[name], float), rtol=1e-3, atol=1e-4, err_msg=name
            )
    policies = [load_policy(tmp_path / name, seed=seeds - 1)(np.ones(2, np.float32)) for name in ("many", "one")]
    np.testing.assert_allclose(*policies, rtol=1e-3)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_the_run_goes_on_from_its_checkpoint(tmp_path):
    """Within a stated time, with a word about it; then with two processes again, and at last with one alone."""
    out = tmp_path / "run"
    processes = started(
        2,
        f"train ddpg {FLAGS.replace('--evaluations 3', '--evaluations 100000')} "
        f"--steps 100000000 --seeds 2 --no-tensorboard --out {out}",
    )
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() or len(lines_of(out)) < 3:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.2)
    processes[1].send_signal(signal.SIGKILL)
    began = time.monotonic()
    codes, _, errors = ended(processes, timeout=ENDS_WITHIN)
    assert time.monotonic() - began < ENDS_WITHIN
    assert codes[0] != 0
    assert "process" in errors[0]
    reached = max(int(path.name) for path in (out / "checkpoints").iterdir() if path.name.isdigit()) * 4
    codes, _, errors = ended(started(2, f"resume {out} --steps {reached + 40}"))
    assert codes == [0, 0], errors
    again = lines_of(out)
    assert again[-1]["steps"] == reached + 40
    assert [row["steps"] for row in again] == sorted({row["steps"] for row in again})
    assert main(["resume", str(out), "--steps", str(reached + 80), "--devices", "1"]) == 0
    assert lines_of(out)[-1]["steps"] == reached + 80


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_with_a_checkpoint(tmp_path):
    """After the chunk, with the code that says that the run can go on."""
    out = tmp_path / "run"
    endless = FLAGS.replace("--evaluations 3", "--evaluations 100000")
    processes = started(2, f"train ddpg {endless} --steps 100000000 --seeds 2 --no-tensorboard --out {out}")
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() or len(lines_of(out)) < 2:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.2)
    processes[1].send_signal(signal.SIGTERM)
    codes, said, errors = ended(processes, timeout=ENDS_WITHIN)
    assert codes == [75, 75], errors
    assert "--resume" in said[0]
    reached = lines_of(out)[-1]["steps"]
    assert (out / "checkpoints" / str(reached // 4)).is_dir()


def test_what_cannot_be_distributed_is_refused_by_all(tmp_path):
    """Exit code 2 everywhere: a run that is there already, found by the first; seeds that leave a device idle."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    codes, _, errors = ended(started(2, f"train ddpg {FLAGS} --steps 160 --seeds 2 --out {tmp_path / 'taken'}"))
    assert codes == [2, 2], errors
    assert all("out must be a new folder or a run of ddpg_jax" in error for error in errors)
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_processes_with_other_settings_than_the_first_are_refused(tmp_path):
    """As where each task of srun is given a seed of its own, and several runs are meant."""
    codes, _, errors = ended(
        started(2, f"train ddpg {FLAGS} --steps 160 --seeds 2 --seed INDEX --out {tmp_path / 'a'}")
    )
    assert codes == [2, 2], errors
    assert all("processes [1] have others than process 0; --no-distributed" in error for error in errors)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_task_of_slurm_may_be_a_run_of_its_own(tmp_path, monkeypatch):
    """With --no-distributed; without it, the task would connect to the other one."""

    class Connects(Exception):
        pass

    def connect(*told):
        raise Connects

    monkeypatch.setenv("SLURM_STEP_NODELIST", "localhost")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setattr(multihost, "initialize", connect)
    words = shlex.split(f"train ddpg {FLAGS} --steps 160 --seeds 2 --out {tmp_path / 'alone'}")
    with pytest.raises(Connects):
        main(words)
    assert main([*words, "--no-distributed"]) == 0
    assert lines_of(tmp_path / "alone")[-1]["steps"] == 160


def test_what_a_launcher_says_is_believed(monkeypatch):
    """Several tasks of a step, not the allocation of a batch script; several workers of a pod."""
    assert not multihost.launched_by_cluster()
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert not multihost.launched_by_cluster()
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-4]")
    assert multihost.launched_by_cluster()
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert not multihost.launched_by_cluster()
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "one,two")
    assert multihost.launched_by_cluster()


@pytest.mark.slow
def test_a_sweep_over_two_processes_is_the_sweep_of_one(tmp_path):
    """Halving, table, picture and the best setting's policies included."""
    words = f"sweep ddpg {FLAGS} --steps 160 --seeds 2 --halving 1 --grid actor_lr 1e-4 1e-2 --grid tau 0.01 0.5 --out"
    codes, said, errors = ended(started(2, f"{words} {tmp_path / 'many'}"))
    assert codes == [0, 0], errors
    assert "part 1 of 1: 4 trials x 2 seeds under vmap on 2 devices" in said[0].replace("\n", " ")
    assert main(shlex.split(f"{words} {tmp_path / 'one'}")) == 0
    tables = [list(csv.DictReader((tmp_path / name / "sweep.csv").open())) for name in ("many", "one")]
    for ours, theirs in zip(*tables, strict=True):
        numbers = [[float(row[name]) for name in ("trial", "seed", "steps", "mean", "min")] for row in (ours, theirs)]
        np.testing.assert_allclose(*numbers, rtol=1e-3)
    assert (tmp_path / "many" / "sweep.png").exists()
    policies = [load_policy(tmp_path / name / "best", seed=1)(np.ones(2, np.float32)) for name in ("many", "one")]
    np.testing.assert_allclose(*policies, rtol=1e-3)
    odd = f"sweep ddpg {FLAGS} --steps 160 --grid tau 0.01 0.1 0.5 --out {tmp_path / 'odd'}"
    codes, _, errors = ended(started(2, odd))
    assert codes == [2, 2]
    assert all("devices must be 2, all devices of all processes" in error for error in errors)


def test_alone_nothing_is_waited_for():
    """What one process says and holds is what all say and hold."""
    assert multihost.is_main()
    assert multihost.any_process(True)
    assert not multihost.any_process(False)
    np.testing.assert_array_equal(multihost.fetch({"a": jax.numpy.arange(3)})["a"], np.arange(3))

    def refuse():
        raise SettingError("no")

    with pytest.raises(SettingError, match="no"):
        multihost.on_main(refuse)
