"""A sweep that was stopped or killed anywhere is resumed as if it had never ended, halving and copies included."""

import dataclasses
import json
import shlex
import shutil
import sys

import jax
import numpy as np
import pytest
from toys import slow_but_for

from ddpg_jax import DDPGConfig, LoopConfig, SettingError, grid, resume_sweep, sweep
from ddpg_jax.cli.main import main
from ddpg_jax.core.types import Learner, TrainState
from ddpg_jax.runs.checkpoint import Checkpoints, read_metadata, saved_steps
from ddpg_jax.runs.checksum import json_checksum
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.json_values import read_json
from ddpg_jax.sweeps import progress
from ddpg_jax.sweeps.task import TrialResult

pytestmark = pytest.mark.usefixtures("same_programs")
CONFIG = DDPGConfig(hidden=(8,))
LOOP = LoopConfig(batch_size=8, replay_capacity=200, warmup_steps=40, pool_size=2)
RUN = RunConfig(env="lqr", episode_length=10, steps=120, seeds=2, seed=5, evaluations=4, eval_episodes=2)
RATES = grid({"actor_lr": [1e-4, 3e-2], "tau": [0.01, 0.5]})
SHAPES = [trial | {"norm": norm} for norm in ("none", "layer") for trial in RATES[:2]]
MODULE = sys.modules["ddpg_jax.sweeps.sweep"]
KINDS = {
    "two parts": (SHAPES, {}),
    "halving": (RATES, {"halving": 2}),
    "copies": (RATES, {"halving": 2, "pbt": True}),
}


def quiet(*_):
    pass


def run_in(folder, **settings):
    return dataclasses.replace(RUN, out=folder, **settings)


def outcome(folder):
    """Everything that a sweep leaves, but for what time it took: tables, curves, the best run with its bits."""
    curves = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    own = [json.loads(line) for line in (folder / "best" / "metrics.jsonl").read_text().splitlines()]
    for row in [*curves, *own]:
        del row["seconds"], row["compile_seconds"]
    (step,) = saved_steps(folder / "best")
    config = json.loads((folder / "best" / "config.json").read_text())
    for name in ("out", "checkpoint_steps", "checkpoint_seconds"):
        config["run"][name] = None
    evaluation = (folder / "best" / "evaluation.json").read_text()
    sums = read_metadata(folder / "best", step).checksums
    return (folder / "sweep.csv").read_text(), curves, own, config, evaluation, sums


def kinds(quick=None):
    """A parametrization over the kinds, all but at most one of them among the slow tests."""
    return pytest.mark.parametrize("kind", slow_but_for(KINDS, quick), indirect=True)


@pytest.fixture(scope="module")
def kind(request, tmp_path_factory):
    """A kind of sweep, and what it leaves when it is never stopped."""
    trials, how = KINDS[request.param]
    folder = tmp_path_factory.mktemp("sweeps") / "whole"
    result = sweep("ddpg", trials, CONFIG, LOOP, run_in(folder), log=quiet, **how)
    return trials, how, result, outcome(folder)


def stop_at(number):
    """Asks to stop at this call and all later ones."""
    calls = iter(range(1, 1000))
    return lambda: next(calls) >= number


@kinds(quick="copies")
def test_a_sweep_that_stops_at_every_chunk_ends_like_one_that_never_did(kind, tmp_path):
    trials, how, whole, expected = kind
    folder = tmp_path / "sweep"
    found = sweep("ddpg", trials, CONFIG, LOOP, run_in(folder), log=quiet, should_stop=stop_at(1), **how)
    stops = 1
    while found.outcome == "stopped":
        assert not (folder / "sweep.csv").exists()
        found = resume_sweep(folder, log=quiet, should_stop=stop_at(1))
        stops += 1
        assert stops < 30
    assert stops > 4
    assert found.table == whole.table
    assert outcome(folder) == expected


class Killed(BaseException):
    """What no handler expects, as the end of a process."""


@kinds()
def test_a_sweep_that_is_killed_between_checkpoints_ends_like_one_that_never_was(kind, tmp_path):
    """Lines of curves that no checkpoint knows are written anew; without a checkpoint a part begins anew."""
    trials, how, whole, expected = kind
    folder = tmp_path / "sweep"

    def die_at(number):
        rows = iter(range(1, 1000))

        def on_chunk(*_):
            if next(rows) == number:
                raise Killed

        return on_chunk

    run = run_in(folder, checkpoint_steps=40, checkpoint_seconds=None)
    with pytest.raises(Killed):
        sweep("ddpg", trials, CONFIG, LOOP, run, log=quiet, on_chunk=die_at(3), **how)
    for _ in range(30):
        try:
            found = resume_sweep(folder, log=quiet, on_chunk=die_at(4))
            break
        except Killed:
            continue
    assert found.table == whole.table
    assert outcome(folder) == expected


@pytest.mark.parametrize("means", [(1.0, 2.0), (2.0, 1.0)])
def test_the_best_trial_may_be_of_any_part(means, tmp_path, monkeypatch):
    """With what training would have found in each of two parts."""
    written = []

    def train_part(task, part, writer, keeper, state):
        mean = means[keeper.progress.parts]
        rows = [dict.fromkeys(("mean", "std", "min", "max", "length"), mean) | {"seed": seed} for seed in (5, 6)]
        found = TrialResult(part.group.indices[-1], 120, rows, True)
        keeper.progress = keeper.progress._replace(ended=[*keeper.progress.ended, found])
        return ()

    monkeypatch.setattr(MODULE, "train_part", train_part)
    monkeypatch.setattr(MODULE, "write_best", lambda task, best, *_: written.append(best.trial))
    result = sweep("ddpg", SHAPES, CONFIG, LOOP, run_in(tmp_path / "sweep"), log=quiet)
    best = 1 if means[0] > means[1] else 3
    assert written[-1] == best
    assert result.best == SHAPES[best]
    assert result.table[0]["trial"] == best


@pytest.mark.slow
def test_what_is_finished_is_kept(tmp_path):
    folder, rows = tmp_path / "sweep", []

    def on_chunk(row, _):
        rows.append(row)

    def after_the_first_part():
        return len(rows) == 5

    run = run_in(folder)
    sweep("ddpg", SHAPES, CONFIG, LOOP, run, log=quiet, on_chunk=on_chunk, should_stop=after_the_first_part)
    assert (folder / "best" / "config.json").exists()
    assert not saved_steps(folder)
    before, said = len((folder / "curves.jsonl").read_text().splitlines()), []
    resume_sweep(folder, log=said.append, on_chunk=on_chunk)
    assert "resuming with 1 of 2 parts finished" in said
    assert len(rows) == 10
    assert len((folder / "curves.jsonl").read_text().splitlines()) == 2 * before


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    """75 and the command that resumes it; both commands do; a finished sweep has nothing left to do."""
    monkeypatch.setattr("ddpg_jax.runs.signals.Stop.__call__", lambda self: True)
    command = "sweep ddpg --env lqr --episode-length 10 --steps 80 --evaluations 2 --eval-episodes 1 --hidden 4 "
    command += f"--batch-size 4 --replay-capacity 100 --warmup-steps 40 --grid tau 0.1 0.2 --out {tmp_path / 'sweep'}"
    assert main(shlex.split(command)) == 75
    assert f"ddpg-jax sweep --resume {tmp_path / 'sweep'}" in capsys.readouterr().out.replace("\n", " ")
    assert main(["resume", str(tmp_path / "sweep"), "--steps", "90"]) == 2
    assert "must not be given to resume a sweep" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["sweep", f"--resume={tmp_path / 'sweep'}"]) == 0
    assert "sweep.csv" in capsys.readouterr().out
    assert main(["resume", str(tmp_path / "sweep")]) == 2
    assert "nothing is left to do" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "stopped"
    sweep("ddpg", RATES, CONFIG, LOOP, run_in(folder), halving=1, pbt=True, log=quiet, should_stop=stop_at(4))
    return folder


def test_checkpoints_that_nothing_is_resumed_from_make_room(stopped, tmp_path):
    """Those of a finished part, after whose end a process was killed, and damaged ones, all of more steps.

    Orbax writes none of fewer steps than there are, without a word.
    """
    folder = tmp_path / "sweep"
    shutil.copytree(stopped, folder)
    (own,) = saved_steps(folder)
    for step in (own + 100, own + 200):
        shutil.copytree(folder / "checkpoints" / str(own), folder / "checkpoints" / str(step))
    (folder / "checkpoints" / str(own + 200) / "metadata" / "metadata").write_text("{")
    said = []
    assert resume_sweep(folder, log=said.append, should_stop=stop_at(1)).outcome == "stopped"
    (now,) = saved_steps(folder)
    assert own < now < own + 100
    assert any("is damaged" in line and line.endswith("It is moved to checkpoints-damaged.") for line in said)
    assert [path.name for path in (folder / "checkpoints-damaged").iterdir()] == [f"{own + 200}-1"]


def test_a_checkpoint_whose_arrays_are_damaged_is_moved_aside_and_the_part_begins_anew(stopped, tmp_path):
    folder = tmp_path / "sweep"
    shutil.copytree(stopped, folder)
    (own,) = saved_steps(folder)
    for path in (folder / "checkpoints" / str(own) / "learner").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    said = []
    assert resume_sweep(folder, log=said.append, should_stop=stop_at(1)).outcome == "stopped"
    assert any(" is damaged " in line and "It is moved to checkpoints-damaged" in line for line in said)
    assert [path.name for path in (folder / "checkpoints-damaged").iterdir()] == [f"{own}-1"]
    (now,) = saved_steps(folder)
    assert now < own
    assert read_metadata(folder, now).config["progress"]["ended"] == []


def test_a_checkpoint_that_is_not_written_is_an_error(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "sweep")
    (own,) = saved_steps(tmp_path / "sweep")
    checkpoints = Checkpoints(tmp_path / "sweep", 1, {})
    state = TrainState(jax.random.split(jax.random.key(0), 1), np.zeros(1), (), Learner({}, {}, {}), np.zeros(1), None)
    with pytest.raises(SettingError, match="a checkpoint of 5 vector steps or more is there already"):
        checkpoints.save(5, state, 0.0)
    checkpoints.close()
    assert saved_steps(tmp_path / "sweep") == [own]


def test_other_versions_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "train_part", quiet)  # as if it was stopped
    folder, said = tmp_path / "sweep", []
    sweep("ddpg", RATES, CONFIG, LOOP, run_in(folder), log=quiet)
    resume_sweep(folder, log=said.append)
    assert not any("agree to rounding" in line for line in said)
    config = json.loads((folder / "config.json").read_text())
    config["versions"]["jax"] = "0.0.1"
    (folder / "config.json").write_text(json.dumps(config))
    resume_sweep(folder, log=said.append)
    assert sum("package versions" in line and "agree to rounding, not bitwise" in line for line in said) == 1


CHANGES = {
    "trials": lambda c: c["sweep"]["trials"][0].update(tau=0.3),
    "parts must be lists that name each trial once": lambda c: c["sweep"].update(parts=[[0, 1]]),
    "discount is 0.5 and was 0.99": lambda c: c["config"].update(discount=0.5),
    "sweep.halving must be a whole number from 0 to 3": lambda c: c["sweep"].update(halving=9),
    "halving is 0 and was 1": lambda c: c["sweep"].update(halving=0),
    "sweep is missing": lambda c: c.pop("sweep"),
    "sweep must be an object": lambda c: c.update(sweep=[]),
}


@pytest.mark.parametrize("sentence", CHANGES)
def test_a_changed_sweep_is_refused(stopped, sentence, tmp_path):
    folder = tmp_path / "sweep"
    shutil.copytree(stopped, folder)
    config = json.loads((folder / "config.json").read_text())
    CHANGES[sentence](config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingError, match=sentence):
        resume_sweep(folder, log=quiet)


def test_missing_lines_are_refused(stopped, tmp_path):
    folder = tmp_path / "sweep"
    shutil.copytree(stopped, folder)
    (folder / "curves.jsonl").write_text("")
    with pytest.raises(SettingError, match=r"must have the \d+ lines that were there"):
        resume_sweep(folder, log=quiet)


def test_the_states_are_those_of_the_trials_in_training(stopped):
    """Four trials of two seeds, two of them copies."""
    (step,) = saved_steps(stopped)
    found = read_metadata(stopped, step).config["progress"]
    assert len(found["active"]) == 4
    assert found["parents"].keys() == {"4", "5"}
    assert len(found["ended"]) == 2
    assert np.isfinite(jax.tree.leaves(found["trials"])).all()


def test_any_change_of_progress_json_is_noticed(tmp_path):
    """By its checksum; and a cut file is damaged."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    contents = {"progress": {"parts": 1, "lines": 3}, "tau": 0.5}
    text = json.dumps(contents | {"checksum": json_checksum(contents)})
    (folder / "progress.json").write_text(text)
    assert progress._checked(read_json(folder / "progress.json")).value == contents
    for changed in (text.replace("3", "4"), text.replace("0.5", "0.51"), text[:-9] + "}", text[:20], "[]"):
        (folder / "progress.json").write_text(changed)
        with pytest.raises(SettingError, match=r"progress\.json"):
            progress._checked(read_json(folder / "progress.json"))
