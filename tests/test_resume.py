"""Going on from a checkpoint: as if the run had never stopped, to the bit."""

import dataclasses
import functools
import json
import shlex
import shutil

import jax
import numpy as np
import pytest
from toys import slow_but_for

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, TD3Config, ddpg, load_policy, make_env
from ddpg_jax.algorithms.copdac import COPDACConfig
from ddpg_jax.cli.main import main
from ddpg_jax.core.prioritized import prioritized_replay
from ddpg_jax.core.replay import stored_transitions
from ddpg_jax.core.types import Algorithm
from ddpg_jax.runs import folders, registry
from ddpg_jax.runs.checkpoint import Checkpoints, load_state, newest_first
from ddpg_jax.runs.experiment import run_experiment
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys
from ddpg_jax.runs.registry import OWN
from ddpg_jax.runs.resume import resume_experiment

pytestmark = pytest.mark.usefixtures("same_programs")
LOOP = LoopConfig(num_envs=4, batch_size=8, replay_capacity=200, warmup_steps=40, pool_size=2)
RUN = RunConfig(env="lqr", episode_length=7, steps=160, seeds=2, evaluations=6, eval_episodes=2, checkpoint_seconds=0.0)
CASES = {
    "ou noise, statistics": ("ddpg", DDPGConfig(hidden=(4,), noise="ou", normalize_obs=True), LOOP, RUN),
    "delayed, in turn": (
        "td3",
        TD3Config(hidden=(4,)),
        LOOP.replace(n_step=3),
        dataclasses.replace(RUN, seed_mapping="sequential", devices=1),
    ),
    "an agent on two devices": (
        "copdac-gq",
        COPDACConfig(hidden=(4,)),
        LOOP,
        dataclasses.replace(RUN, seeds=1, devices=2),
    ),
    "images": (
        "ddpg",
        DDPGConfig(hidden=(4,)),
        LOOP.replace(num_envs=1, warmup_steps=20, batch_size=2),
        dataclasses.replace(RUN, env="pixels/Pendulum-v1", seeds=1, steps=26, evaluations=3, eval_episodes=1),
    ),
}
CASES |= {
    name: (name, algorithm.config(hidden=(4,)), LOOP, RUN)
    for name, algorithm in OWN.items()
    if name not in {case[0] for case in CASES.values()}
}


class Stopped(BaseException):
    """What ends a run before its time."""


def quiet(*said):
    pass


def stop_after(rows):
    """A report that ends the run once so many rows are written."""
    seen = []

    def report(row, plan):
        seen.append(row)
        if len(seen) == rows:
            raise Stopped

    return report


def lines_of(folder):
    """metrics.jsonl without the wall-clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.endswith("seconds")} for row in rows]


def bits(state):
    def plain(leaf):
        key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if key else leaf)

    return {jax.tree_util.keystr(path): plain(leaf) for path, leaf in jax.tree.leaves_with_path(state)}


@pytest.mark.parametrize("case", slow_but_for(CASES, "ou noise, statistics", "an agent on two devices"))
def test_resumed_is_uninterrupted(case, tmp_path):
    """Every array of the final state, every line of the metrics, the evaluation; seconds go on."""
    algorithm, config, loop, run = CASES[case]
    whole = run_experiment(algorithm, config, loop, dataclasses.replace(run, out=tmp_path / "whole"), log=quiet)
    half = dataclasses.replace(run, out=tmp_path / "halves")
    with pytest.raises(Stopped):
        run_experiment(algorithm, config, loop, half, log=quiet, on_chunk=stop_after(3))
    said = []
    halves = resume_experiment(tmp_path / "halves", log=said.append)
    assert f"resuming at {lines_of(tmp_path / 'whole')[1]['steps']} steps" in said
    mine, theirs = bits(halves.state), bits(whole.state)
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    assert lines_of(tmp_path / "halves") == lines_of(tmp_path / "whole")
    assert (tmp_path / "halves" / "evaluation.json").read_text() == (tmp_path / "whole" / "evaluation.json").read_text()
    rows = [json.loads(line) for line in (tmp_path / "halves" / "metrics.jsonl").read_text().splitlines()]
    for name in ("seconds", "compile_seconds"):
        spent = [row[name] for row in rows]
        assert spent == sorted(spent)
    assert all(row["compile_seconds"] < row["seconds"] for row in rows)


ROOM = LOOP.replace(replay_capacity=1000)
LONGER = {  # (algorithm, settings, loop, run, steps to resume to); a chunk is as long after as before
    "a ring that the run fills": ("ddpg", DDPGConfig(hidden=(4,)), ROOM, RUN, 280),
    "a ring that is full": ("ddpg", DDPGConfig(hidden=(4,)), LOOP.replace(replay_capacity=100), RUN, 280),
    "in turn": (*CASES["delayed, in turn"][:2], ROOM.replace(n_step=3), CASES["delayed, in turn"][3], 280),
    "an agent on two devices": ("ddpg", DDPGConfig(hidden=(4,)), ROOM, CASES["an agent on two devices"][3], 280),
    "images": (*CASES["images"][:3], dataclasses.replace(CASES["images"][3], episode_length=15), 32),
    "priorities": ("prioritized", DDPGConfig(hidden=(4,)), ROOM, RUN, 280),
    "priorities on two devices": (
        "prioritized",
        DDPGConfig(hidden=(4,)),
        ROOM,
        CASES["an agent on two devices"][3],
        280,
    ),
}
PRIORITIZED = Algorithm(DDPGConfig, functools.partial(ddpg, memory=prioritized_replay))


@pytest.mark.parametrize("case", slow_but_for(LONGER, "a ring that the run fills"))
def test_a_longer_run_is_one_that_was_longer_from_the_start(case, tmp_path, monkeypatch):
    """The replay grows with the steps, and nothing else changes: every array, every line of the metrics."""
    monkeypatch.setattr(registry, "_added", {"prioritized": PRIORITIZED})
    algorithm, config, loop, run, steps = LONGER[case]
    longer = dataclasses.replace(run, out=tmp_path / "longer", steps=steps, evaluations=2)
    whole = run_experiment(algorithm, config, loop, longer, log=quiet)
    run = dataclasses.replace(run, out=tmp_path / "halves", evaluations=1)
    half = run_experiment(algorithm, config, loop, run, log=quiet)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(result.state.memory)) for result in (half, whole)]
    halves = resume_experiment(tmp_path / "halves", steps=steps, log=quiet)
    assert (sizes[0] < sizes[1]) == (case != "a ring that is full")
    mine, theirs = bits(halves.state), bits(whole.state)
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    assert lines_of(tmp_path / "halves") == lines_of(tmp_path / "longer")


@pytest.mark.slow
def test_a_checkpoint_with_room_for_more_than_its_run_is_cut(tmp_path, monkeypatch):
    """Those of earlier versions have `replay_capacity` transitions, however few steps the run has."""
    _, config, loop, run, _ = LONGER["a ring that the run fills"]
    whole = run_experiment("ddpg", config, loop, dataclasses.replace(run, out=tmp_path / "whole"), log=quiet)
    half = dataclasses.replace(run, out=tmp_path / "halves")
    with monkeypatch.context() as patch:
        patch.setattr("ddpg_jax.runs.plan.fitted_replay", lambda loop, steps: loop)
        with pytest.raises(Stopped):
            run_experiment("ddpg", config, loop, half, log=quiet, on_chunk=stop_after(3))
    mine, theirs = bits(resume_experiment(half.out, log=quiet).state), bits(whole.state)
    assert {name: leaf.shape for name, leaf in mine.items()} == {name: leaf.shape for name, leaf in theirs.items()}
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of four seeds on four devices."""
    folder = tmp_path_factory.mktemp("runs") / "done"
    run = dataclasses.replace(RUN, seeds=4, out=folder, keep_checkpoints=2)
    result = run_experiment("ddpg", DDPGConfig(hidden=(4,)), LOOP, run, log=quiet)
    return folder, result


def test_the_newest_checkpoints_and_the_best_are_kept(finished):
    folder, _ = finished
    kept = {int(path.name) for path in (folder / "checkpoints").iterdir()}
    rows = lines_of(folder)
    best = max(rows, key=lambda row: np.mean(row["eval_return"]))
    assert kept == {rows[-1]["steps"] // 4, rows[-2]["steps"] // 4, best["steps"] // 4}


def test_a_checkpoint_compiles_nothing_that_the_one_before_did(finished, tmp_path):
    """Else an hour of checkpoints would fill the memory with programs."""
    _, result = finished
    checkpoints = Checkpoints(tmp_path, 2, {})
    compiled = []
    checkpoints.save(1, result.state, 0.0)
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: compiled.append(name) if "backend_compile" in name else None
    )
    checkpoints.save(2, result.state, 0.0)
    checkpoints.close()
    assert compiled == []


@pytest.mark.parametrize("devices", [1, 2])
def test_seeds_are_dealt_anew_to_other_devices(finished, devices):
    """The state of four devices on one or two, the same numbers."""
    folder, result = finished
    run = dataclasses.replace(result.run, devices=devices)
    layout = choose_layout(DDPGConfig(hidden=(4,)), LOOP, run, make_env("lqr", episode_length=7))
    phases = make_programs(make_env("lqr", episode_length=7), "ddpg", LOOP, 2, layout)
    shapes = phases.shapes(jax.eval_shape(lambda: seed_keys(run)), DDPGConfig(hidden=(4,)))
    assert newest_first(folder)[0] == 40
    state = load_state(folder, 40, shapes, layout).state
    assert len(state.memory["float32"].devices()) == devices
    mine, theirs = bits(state), bits(result.state)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


def test_more_steps_may_be_asked_for(finished, tmp_path):
    """The run goes on from its end; its earlier lines stay, and its evaluation until its next checkpoint."""
    folder = tmp_path / "more"
    shutil.copytree(finished[0], folder)
    before = lines_of(folder)
    with pytest.raises(Stopped):
        resume_experiment(folder, steps=240, devices=2, log=quiet, on_chunk=stop_after(2))
    assert newest_first(folder)[0] > 40
    assert not (folder / "evaluation.json").exists()
    assert main(["train", "--resume", str(folder), "--steps", "240", "--devices", "2"]) == 0
    after = lines_of(folder)
    assert after[: len(before)] == before
    assert after[-1]["steps"] == 240
    assert json.loads((folder / "config.json").read_text())["run"]["steps"] == 240
    assert (folder / "evaluation.json").exists()
    assert load_policy(folder)(np.zeros(2, np.float32)).shape == (1,)


def test_what_cannot_be_gone_on_with_is_refused(finished, tmp_path, capsys):
    """One sentence, exit code 2, and nothing touched."""
    folder, _ = finished
    (tmp_path / "empty").mkdir()

    def stamps():
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}

    before = stamps()
    for words, sentence in {
        f"train --resume {folder}": f"steps must be above 160, the steps that {folder} has already, not 160.",
        f"resume {folder} --steps 200 --devices 8": "devices must be such that 1 of them trains an agent, as before",
        f"resume {folder} --steps 200 --devices 99": "devices must be at most 8, the number of devices here, not 99.",
        f"resume {folder} --steps 0": "steps must be at least 1, not 0.",
        f"resume {tmp_path / 'empty'}": "is not a run folder",
        f"resume {folder} --steps 200 --process 1": "distributed must be given with coordinator",
    }.items():
        assert main(shlex.split(words)) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
    assert stamps() == before


def test_what_may_change_the_bits_of_a_resumed_run_is_said(finished, tmp_path):
    """Another number of devices; another kind, for which seeds are mapped anew."""
    folder, said = copied(finished, tmp_path), []
    with pytest.raises(Stopped):
        resume_experiment(folder, steps=240, devices=2, log=said.append, on_chunk=stop_after(1))
    assert "changed since the checkpoint: number of devices; results agree to rounding, not bitwise" in said
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    assert stored["devices"] == 2
    stored["run"]["seed_mapping"] = "sequential"
    path.write_text(json.dumps(stored | {"device": "tpu: TPU v9"}))
    with pytest.raises(Stopped):
        resume_experiment(folder, steps=240, log=quiet, on_chunk=stop_after(1))
    assert json.loads(path.read_text())["run"]["seed_mapping"] == "vmap"


def copied(finished, tmp_path):
    """A finished run, to be spoilt."""
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    return folder


def edited(folder, group, **values):
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    stored[group] |= values
    path.write_text(json.dumps(stored))


def test_a_run_in_use_is_left_alone(finished, tmp_path, capsys):
    """Neither replaced nor resumed while a process holds its lock."""
    folder = copied(finished, tmp_path)
    before = (folder / "metrics.jsonl").read_bytes()
    with folders.locked(folder):
        for words in (f"train ddpg --env lqr --steps 2000 --overwrite --out {folder}", f"resume {folder} --steps 200"):
            assert main(shlex.split(words)) == 2
            assert "out must not be in use" in capsys.readouterr().err
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_changed_settings_are_refused_with_their_names_unless_accepted(finished, tmp_path, capsys):
    """What changes nothing about the result may change; what does is listed and, where accepted, gone on with."""
    folder = copied(finished, tmp_path)
    edited(folder, "config", tau=0.5, actor_lr=1e-4)
    edited(folder, "run", keep_checkpoints=1, eval_episodes=3)
    words = ["train", "--resume", str(folder), "--steps", "200"]
    assert main(words) == 2
    said = capsys.readouterr().err
    for change in ("tau is 0.5 and was 0.005", "actor_lr is 0.0001 and was 0.0003", "eval_episodes is 3 and was 2"):
        assert change in said
    assert "keep_checkpoints" not in said
    assert "--accept-changes resumes" in said
    assert lines_of(folder) == lines_of(finished[0])
    assert main([*words, "--accept-changes"]) == 0
    assert "settings have changed: " in capsys.readouterr().out
    assert lines_of(folder)[-1]["steps"] == 200
    assert json.loads((folder / "config.json").read_text())["config"]["tau"] == 0.5
    assert main([*words[:-1], "240"]) == 0  # from now on these are its settings


def test_a_ring_that_may_have_been_full_keeps_its_capacity(finished, tmp_path, capsys):
    """One that was not full may become larger, where the change is accepted, and what it holds stays."""
    folder = copied(finished, tmp_path)
    words = ["train", "--resume", str(folder), "--steps", "400", "--accept-changes"]
    edited(folder, "loop", replay_capacity=100)
    assert main(words) == 2
    assert "replay_capacity must be 200, as in the checkpoint, not 100: at 160 steps one of them is full" in (
        capsys.readouterr().err
    )
    edited(folder, "loop", replay_capacity=1000)
    assert main(words) == 0


def test_another_algorithm_shape_or_version_is_refused(finished, tmp_path, capsys):
    folder = copied(finished, tmp_path)
    before = (folder / "config.json").read_text()
    words = ["train", "--resume", str(folder), "--steps", "200"]
    for group, values, sentence in (
        ("config", {"hidden": [5]}, "hidden is [5] and was [4]"),
        ("loop", {"gravity": 1}, "loop must be an object without the unknown field 'gravity'"),
        ("run", {"env": "Pendulum-v1"}, "run.env must be 'lqr', the name in spec, not 'Pendulum-v1'"),
        ("spec", {"obs_shape": [3]}, "steps must be above"),  # the file's word counts for policies alone
    ):
        edited(folder, group, **values)
        assert main([*words[:3]] if group == "spec" else words) == 2
        assert sentence in capsys.readouterr().err
        (folder / "config.json").write_text(before)
    stored = json.loads(before)
    (folder / "config.json").write_text(json.dumps(stored | {"algorithm": "td3", "config": {"hidden": [4]}}))
    assert main(words) == 2
    assert "config.action_layer is missing." in capsys.readouterr().err
    config = dataclasses.asdict(TD3Config(hidden=(4,)))
    (folder / "config.json").write_text(json.dumps(stored | {"algorithm": "td3", "config": config}))
    assert main(words) == 2
    assert "algorithm is 'td3' and was 'ddpg'" in capsys.readouterr().err
    (folder / "config.json").write_text(before[:100])
    assert main(words) == 2
    assert "config.json is damaged" in capsys.readouterr().err
    (folder / "config.json").write_text(before)
    (folder / "metrics.jsonl").write_text("{}\n{\n{}\n")
    assert main(words) == 2
    assert "metrics.jsonl: line 1: eval_return is missing." in capsys.readouterr().err


def test_without_its_replay_a_run_fills_a_new_one_and_says_so(tmp_path):
    """With steps of the present policy, none of them 0, and without counting an observation twice."""
    run = dataclasses.replace(RUN, out=tmp_path / "run", checkpoint_replay=False)
    config = DDPGConfig(hidden=(4,), normalize_obs=True)
    whole = run_experiment("ddpg", config, LOOP, run, log=quiet)
    kept = run_experiment(
        "ddpg", config, LOOP, dataclasses.replace(run, out=tmp_path / "kept", checkpoint_replay=True), log=quiet
    )
    sizes = [sum(p.stat().st_size for p in r.folder.joinpath("checkpoints").rglob("*")) for r in (whole, kept)]
    assert sizes[0] < sizes[1] - 1000
    said = []
    more = resume_experiment(run.out, steps=164, log=said.append)
    assert any("the replay was not saved" in line for line in said)
    assert (np.asarray(more.state.learner.normalizer.count) == 164).all()
    read = functools.partial(stored_transitions, make_env("lqr").spec, LOOP.num_envs, 164)  # the run's steps, not 200
    stored = np.asarray(jax.vmap(read)(more.state.memory).obs)  # a row for each of 41 vector steps
    assert stored.shape == (2, 164, 2)
    assert (np.abs(stored).sum(-1) > 0).all()
    assert len(np.unique(stored.reshape(-1, 2), axis=0)) > 250  # some begin alike


@pytest.mark.parametrize("when", [{"checkpoint_seconds": None}, {"checkpoint_seconds": None, "checkpoint_steps": 40}])
def test_checkpoints_may_come_after_so_many_steps(when, tmp_path):
    run = dataclasses.replace(RUN, out=tmp_path / "run", keep_checkpoints=99, **when)
    run_experiment("ddpg", DDPGConfig(hidden=(4,)), LOOP, run, log=quiet)
    kept = sorted(int(path.name) * 4 for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ([80, 120, 160] if "checkpoint_steps" in when else [160])


def test_a_run_may_be_stopped_from_python_and_goes_on(tmp_path):
    """At the end of a chunk, with all that a finished run leaves."""
    run = dataclasses.replace(RUN, out=tmp_path / "run", checkpoint_seconds=None)
    rows = []
    result = run_experiment(
        "ddpg", DDPGConfig(hidden=(4,)), LOOP, run, quiet, lambda row, plan: rows.append(row), lambda: len(rows) == 3
    )
    assert (result.outcome, result.steps) == ("stopped", rows[-1]["steps"])
    assert (tmp_path / "run" / "evaluation.json").exists()
    more = resume_experiment(run.out, log=quiet)
    assert (more.outcome, more.steps) == ("finished", 160)


def test_nothing_that_is_loaded_is_executed(finished, tmp_path, monkeypatch):
    """No pickle, wherever it would come from."""

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    monkeypatch.setattr("pickle.loads", refuse)
    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.Unpickler", refuse)
    folder = copied(finished, tmp_path)
    assert load_policy(folder)(np.zeros(2, np.float32)).shape == (1,)
    assert resume_experiment(folder, steps=200, log=quiet).steps == 200
