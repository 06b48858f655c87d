"""sweep.py: a member of a sweep is the run that it would have been alone; halving; parts; what is left behind."""

import contextlib
import csv
import dataclasses
import functools
import json
import math
import re
import shlex
import shutil
import sys

import numpy as np
import pytest

from ddpg_jax import DDPGConfig, LoopConfig, SettingError, grid, load_policy, sweep
from ddpg_jax.cli.main import main
from ddpg_jax.cli.settings import Processes
from ddpg_jax.cli.sweep import run_to_end, trials_table
from ddpg_jax.cli.train import EXIT_CODES
from ddpg_jax.runs import figures
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.experiment import run_experiment
from ddpg_jax.runs.folders import locked
from ddpg_jax.runs.monitor import Callbacks
from ddpg_jax.runs.plan import Plan
from ddpg_jax.runs.stored_run import read_run
from ddpg_jax.sweeps.files import _make_empty, write_tables
from ddpg_jax.sweeps.progress import Keeper, Progress
from ddpg_jax.sweeps.task import Task, TrialResult

pytestmark = pytest.mark.usefixtures("same_programs")
CONFIG = DDPGConfig(hidden=(8,))
LOOP = LoopConfig(batch_size=8, replay_capacity=120, warmup_steps=40, pool_size=2)  # for the steps of `RUN` and no more
RUN = RunConfig(env="lqr", episode_length=10, steps=120, seeds=2, seed=5, evaluations=4, eval_episodes=2)
POINTS = grid({"actor_lr": [1e-4, 3e-2], "tau": [0.01, 0.5]})
MODULE = sys.modules["ddpg_jax.sweeps.sweep"]


def quiet(*said):
    pass


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curves_of(folder):
    """(trial, seed, steps) -> evaluation return, by the lines of curves.jsonl."""
    lines = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    return {
        (line["trial"], seed, line["steps"]): value
        for line in lines
        for seed, value in zip((5, 6), line["eval_return"], strict=True)
    }


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    run = dataclasses.replace(RUN, out=tmp_path_factory.mktemp("sweeps") / "full")
    return sweep("ddpg", POINTS, CONFIG, LOOP, run, log=quiet)


@pytest.mark.parametrize("setting", [1, 2])  # those that any other order of the members would confuse
def test_a_member_is_the_run_it_would_have_been_alone(swept, setting, tmp_path):
    """Final episodes and every evaluation on the way, to rounding."""
    run = dataclasses.replace(RUN, out=tmp_path / "alone")
    alone = run_experiment("ddpg", dataclasses.replace(CONFIG, **POINTS[setting]), LOOP, run, log=quiet)
    table = [row for row in rows_of(swept.folder / "sweep.csv") if int(row["trial"]) == setting]
    for mine, theirs in zip(table, alone.table, strict=True):
        for name in ("seed", "mean", "min", "max", "length"):
            np.testing.assert_allclose(float(mine[name]), theirs[name], rtol=1e-3)
    lines = [json.loads(line) for line in (tmp_path / "alone" / "metrics.jsonl").read_text().splitlines()]
    curves = [json.loads(line) for line in (swept.folder / "curves.jsonl").read_text().splitlines()]
    mine = [curve for curve in curves if curve["trial"] == setting]
    assert {json.dumps(curve["values"]) for curve in mine} == {json.dumps(POINTS[setting])}
    assert len(mine) == len(lines)
    for curve, line in zip(mine, lines, strict=True):
        assert curve.keys() == line.keys() | {"trial", "values"}  # every quantity of a run
        for name in line.keys() - {"seconds", "compile_seconds"}:
            got, expected = (np.array(row[name], float) for row in (curve, line))
            np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-4)


def test_the_tables_are_tidy_and_agree(swept):
    """A line per seed of a setting; per setting the interquartile mean of its seeds, the best first."""
    lines = rows_of(swept.folder / "sweep.csv")
    assert [(int(line["trial"]), int(line["seed"])) for line in lines] == [(i, s) for i in range(4) for s in (5, 6)]
    for line in lines:
        point = POINTS[int(line["trial"])]
        assert {name: float(line[name]) for name in point} == point
        assert (line["steps"], line["finished"]) == ("120", "True")
    for row in swept.table:
        means = [float(line["mean"]) for line in lines if int(line["trial"]) == row["trial"]]
        np.testing.assert_allclose(row["iqm"], np.mean(means), rtol=1e-6)  # of two values, their mean
        assert min(means) - 1e-6 <= row["low"] <= row["iqm"] <= row["high"] <= max(means) + 1e-6
    middles = [row["iqm"] for row in swept.table]
    assert middles == sorted(middles, reverse=True)
    assert swept.best == POINTS[swept.table[0]["trial"]]


def test_the_best_setting_is_left_as_a_run(swept, tmp_path, capsys):
    """Its settings, its seeds' policies, their evaluation; and it can go on."""
    best = swept.folder / "best"
    stored = read_run(best)
    assert {name: getattr(stored.config, name) for name in swept.best} == swept.best
    assert (stored.kind, stored.run.seed, stored.run.seeds) == ("run", 5, 2)
    curves = curves_of(swept.folder)
    own = [json.loads(line) for line in (best / "metrics.jsonl").read_text().splitlines()]
    number = swept.table[0]["trial"]
    assert [row["eval_return"] for row in own] == [[curves[number, s, row["steps"]] for s in (5, 6)] for row in own]
    assert {(row["seconds"], row["compile_seconds"]) for row in own} == {(0.0, 0.0)}  # the clock is that of all trials
    assert load_policy(best, seed=6)(np.zeros(2, np.float32)).shape == (1,)
    again = json.loads((best / "evaluation.json").read_text())
    lines = [row for row in rows_of(swept.folder / "sweep.csv") if int(row["trial"]) == swept.table[0]["trial"]]
    assert [row["mean"] for row in again["seeds"]] == [float(row["mean"]) for row in lines]
    more = tmp_path / "more"
    shutil.copytree(best, more)
    assert main(["train", "--resume", str(more), "--steps", "160"]) == 0
    last = json.loads((more / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["steps"] == 160
    assert last["seconds"] > last["compile_seconds"] > 0
    capsys.readouterr()
    assert main(["evaluate", str(best), "--episodes", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["seeds"]) == 2


def test_halving_ends_the_worse_half_and_changes_nothing_for_the_others(swept, tmp_path):
    """Against the full sweep: who was worse at the rung ends there, who stays goes on as before."""
    run = dataclasses.replace(RUN, out=tmp_path / "halved")
    halved = sweep("ddpg", POINTS, CONFIG, LOOP, run, halving=2, log=quiet)
    full = curves_of(swept.folder)
    alive = set(range(4))
    for steps, number in ((60, 2), (100, 1)):
        means = {i: np.mean([full[i, seed, steps] for seed in (5, 6)]) for i in alive}
        alive = set(sorted(alive, key=means.__getitem__)[-number:])
        at_rung = {row["trial"] for row in halved.table if row["steps"] > steps}
        assert at_rung == alive
    mine = curves_of(run.out)
    assert len(mine) == 2 * (4 + 4 + 2 + 2 + 1)  # settings evaluated at 40, 60, 80, 100 and 120 steps
    for key, value in mine.items():
        np.testing.assert_allclose(value, full[key], rtol=1e-3)
    assert {int(r["trial"]) for r in rows_of(run.out / "sweep.csv") if r["finished"] == "True"} == alive
    assert halved.table[0]["trial"] in alive


def test_places_that_become_free_go_to_copies_of_the_better_half(swept, tmp_path):
    """With the networks of the parent, its numbers perturbed within their limits, and numbers of their own."""
    run = dataclasses.replace(RUN, out=tmp_path / "replaced", overwrite=True)
    points = [point | {"discount": 0.95, "final_scale": 0.1} for point in POINTS]
    result = sweep("ddpg", points, CONFIG, LOOP, run, halving=2, pbt=True, log=quiet)
    lines = rows_of(run.out / "sweep.csv")
    settings = {int(line["trial"]): line for line in lines}
    assert sorted(settings) == list(range(8))  # four to begin with, two born at each of two rungs
    assert [settings[i]["parent"] for i in range(4)] == [""] * 4
    assert sum(line["finished"] == "True" for line in settings.values()) == 4
    at_first = {i for i in range(4) if settings[i]["steps"] == "60"}
    assert len(at_first) == 2
    for child in range(4, 8):
        parent = settings[int(settings[child]["parent"])]
        assert int(parent["trial"]) < child
        assert int(parent["trial"]) not in at_first
        for name in ("actor_lr", "tau", "discount"):
            share = float(settings[child][name]) / float(parent[name])
            assert any(np.isclose(share, factor) for factor in (0.8, 1.25)) or float(settings[child][name]) == 1.0
        assert settings[child]["final_scale"] == parent["final_scale"]  # which nothing reads after the beginning
    born = [steps for trial, _, steps in curves_of(run.out) if trial == 4]
    assert born[0] == 80
    assert len(born) in (2 * 1, 2 * 3)
    assert read_run(run.out / "best").config.actor_lr == result.best["actor_lr"]
    again = sweep("ddpg", points, CONFIG, LOOP, run, halving=2, pbt=True, log=quiet)
    assert again.table == result.table


def test_a_copy_goes_on_from_where_its_parent_is(tmp_path, monkeypatch):
    """Unperturbed, it does what its parent does."""
    monkeypatch.setattr("ddpg_jax.sweeps.training.perturbed", lambda point, *rest: dict(point))
    run = dataclasses.replace(RUN, out=tmp_path / "run")
    sweep("ddpg", POINTS, CONFIG, LOOP, run, halving=1, pbt=True, log=quiet)
    parents = {int(row["trial"]): row["parent"] for row in rows_of(run.out / "sweep.csv")}
    curves = {}
    for (trial, seed, _), value in curves_of(run.out).items():
        curves.setdefault((trial, seed), []).append(value)
    for child in (4, 5):
        for seed in (5, 6):
            mine, theirs = curves[child, seed], curves[int(parents[child]), seed]
            assert len(mine) == 2
            np.testing.assert_allclose(mine, theirs[-2:], rtol=1e-3)


@pytest.mark.parametrize(
    ("axes", "pbt", "sentence"),
    [
        ({"batch_size": [4, 8]}, False, "halving must be 0 where no two trials are trained together, not 1"),
        ({"final_scale": [0.1, 0.2]}, True, "pbt must be False where trials differ in no traced setting"),
    ],
)
def test_halving_without_effect_is_refused(axes, pbt, sentence, tmp_path):
    run = RUN.replace(out=tmp_path / "sweep")
    with pytest.raises(SettingError, match=sentence):
        sweep("ddpg", grid(axes), CONFIG, LOOP, run, halving=1, pbt=pbt, log=quiet)
    assert not run.out.exists()


def test_replacing_needs_halving():
    with pytest.raises(SettingError, match="pbt must be given together with halving"):
        sweep("ddpg", POINTS, CONFIG, LOOP, RUN, pbt=True)


def test_devices_that_halving_would_shard_otherwise_are_refused(tmp_path):
    """Four agents are on a device each, two would be on two each, whose replay one device has filled alone."""
    run = RUN.replace(seeds=1, devices=4, evaluations=2, out=tmp_path / "sweep")
    with pytest.raises(SettingError, match="is on 1, and with 2 trials x 1 seed left after a halving it would be on 2"):
        sweep("ddpg", POINTS, CONFIG, LOOP.replace(num_envs=4), run, halving=1, log=quiet)
    with pytest.raises(SettingError, match="with 2 trials x 1 seed left after a halving: num_envs must be a multiple"):
        sweep("ddpg", POINTS, CONFIG, LOOP, run, halving=1, log=quiet)
    assert not run.out.exists()


def test_trials_are_ranked_by_return_also_where_their_steps_are_rounded(tmp_path, monkeypatch):
    """10,048 steps of 64 environments are no longer than 10,000 of one."""
    monkeypatch.setattr(figures, "sweep", quiet)
    monkeypatch.setattr(RunConfig, "folder", tmp_path)
    trials = [{"num_envs": 1}, {"num_envs": 64}, {"num_envs": 2}]
    ended = [
        TrialResult(trial, steps, [{"seed": 5, "mean": mean}], finished)
        for trial, steps, mean, finished in (
            (0, 10_000, -150.0, True),
            (1, 10_048, -1200.0, True),
            (2, 5_000, 0.0, False),
        )
    ]
    task = Task("ddpg", trials, {}, CONFIG, LOOP, RUN, None, 0, False, {})
    assert [row["trial"] for row in write_tables(task, ended)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("axes", "settings", "sentence"),
    [
        ({"noise_steps": [10, 20]}, {}, r"noise_final must be given where noise_steps is given \(10\)"),
        ({"noise": ["ou", "pink"]}, {"noise_theta": 0.3}, r"noise must be ou where noise_theta is given \(0.3\)"),
        ({"noise_epsilon": [0.1, 0.3]}, {}, r"noise must be epsilon-uniform where noise_epsilon is given \(0.3\)"),
        ({"tau": [0.1]}, {"target_period": 5}, r"target_update must be periodic where target_period is given \(5\)"),
    ],
)
def test_no_trial_has_a_setting_without_effect(axes, settings, sentence, tmp_path):
    run = RUN.replace(out=tmp_path / "sweep")
    with pytest.raises(SettingError, match=sentence):
        sweep("ddpg", grid(axes), CONFIG.replace(**settings), LOOP, run, log=quiet)
    assert not run.out.exists()


@pytest.mark.parametrize("name", ["halt_on_nan", "keep_checkpoints", "checkpoint_replay"])
def test_settings_that_a_sweep_has_no_use_for_are_refused(name):
    value = {"halt_on_nan": True, "keep_checkpoints": 5, "checkpoint_replay": False}[name]
    with pytest.raises(SettingError, match=f"{name} must be .* for a sweep, where it has no effect, not {value}"):
        sweep("ddpg", POINTS, CONFIG, LOOP, RUN.replace(**{name: value}), log=quiet)


@pytest.mark.slow
def test_shapes_take_programs_of_their_own_and_small_memory_more(swept, tmp_path, monkeypatch):
    """Two programs of two settings; with room for one setting, four parts; the numbers do not change."""
    points = [point | {"batch_size": size} for size in (8, 4) for point in POINTS[:2]]
    said = []
    run = dataclasses.replace(RUN, out=tmp_path / "shapes", steps=60, evaluations=1)
    whole = sweep("ddpg", points, CONFIG, LOOP, run, log=said.append)
    assert [line.split(";")[0] for line in said if line.startswith("part")] == [
        f"part {i} of 2: 2 trials x 2 seeds on 4 devices" for i in (1, 2)
    ]
    each = 2 * 10_000  # bytes: the seeds of one setting take 17 kB, of two 34 kB
    monkeypatch.setattr(MODULE, "memory_limit", lambda devices: each)
    run = dataclasses.replace(run, out=tmp_path / "parts")
    said.clear()
    parted = sweep("ddpg", points, CONFIG, LOOP, run, log=said.append)
    assert len([line for line in said if line.startswith("part")]) == 4
    for one, other in zip(whole.table, parted.table, strict=True):
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-3)


def test_a_setting_that_diverges_is_last(tmp_path):
    points, said = grid({"critic_lr": [1e30, 1e-3]}), []
    run = dataclasses.replace(RUN, out=tmp_path / "run", evaluations=2)
    result = sweep("ddpg", points, CONFIG, LOOP, run, halving=1, log=said.append)
    (line,) = (line for line in said if "diverged" in line)
    assert re.fullmatch(r"trial 0 diverged and counts as the worst: seed 5 at .* is not finite\), seed 6 at .*\)", line)
    assert [row["trial"] for row in result.table] == [1, 0]
    assert result.table[1]["iqm"] == -math.inf
    assert rows_of(run.out / "sweep.csv")[0]["mean"] == ""


def test_a_seed_that_has_diverged_is_named_once():
    """Though every later chunk finds it again."""
    said = []
    task = Task("ddpg", POINTS, {}, CONFIG, LOOP, RUN, None, 0, False, {})
    keeper = Keeper(task, {}, None, Callbacks(said.append), Progress())
    for diverged in ({2: (5, "reward")}, {2: (5, "reward"), 3: (6, "obs")}):
        keeper.say_diverged(Plan([0, 10], 4, 1, 0, 0, 0), [0, 1], diverged)
    begin = "trial 1 diverged and counts as the worst: "
    assert said == [
        f"{begin}seed 5 at 20 steps (reward is not finite)",
        f"{begin}seed 6 at 24 steps (obs is not finite)",
    ]


def trial_ended(trial, mean):
    """The result of a trial whose two seeds both have this mean."""
    rows = [dict.fromkeys(("mean", "std", "min", "max", "length"), mean) | {"seed": seed} for seed in (5, 6)]
    return TrialResult(trial, 120, rows, True)


@pytest.mark.parametrize("axes", [{"tau": [0.1, 0.2]}, {"tau": [0.1, 0.2], "actor_lr": [0.1, 0.2]}])
def test_where_every_trial_diverges_there_is_no_best(axes, tmp_path, monkeypatch, capsys):
    def train_part(task, part, writer, keeper, state):
        ended = [trial_ended(trial, None) for trial in range(len(task.trials))]
        keeper.progress = keeper.progress._replace(ended=ended)
        return ()

    monkeypatch.setattr(MODULE, "train_part", train_part)
    folder = tmp_path / "sweep"
    experiment = functools.partial(sweep, "ddpg", grid(axes), CONFIG, LOOP, RUN.replace(out=folder))
    assert run_to_end(Processes(), 2, experiment) == EXIT_CODES["halted"] == 4
    assert "so there is no best trial" in capsys.readouterr().out.replace("\n", " ")
    assert {path.name for path in folder.glob("[!.]*")} >= {"sweep.csv", "sweep.png", "progress.json"}
    assert not (folder / "best").exists()


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WRITES = {
    "a chunk": lambda part, writer, keeper: writer.write(part, 60, [], {}),
    "a checkpoint": lambda part, writer, keeper: keeper.save(0, 60, 60, keeper.progress, ()),
    "the end of a part": lambda part, writer, keeper: keeper.finish_part(keeper.progress),
    "the best trial": lambda part, writer, keeper: None,  # which is written after the part
}


@pytest.mark.parametrize("replaced", ["curves.jsonl", "."])
@pytest.mark.parametrize("what", WRITES)
def test_a_sweep_whose_folder_is_another_ones_writes_nothing_more(what, replaced, tmp_path, monkeypatch):
    """A folder may have the number of a deleted one, but no file that of an open one."""
    folder, before = tmp_path / "sweep", {}

    def train_part(task, part, writer, keeper, state):
        (folder / replaced).resolve().rename(tmp_path / "away")
        for name in ("config.json", "curves.jsonl", "progress.json", "checkpoints/60/another", "best/another"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("another's")
        before.update(contents_of(folder))
        keeper.progress = keeper.progress._replace(ended=[trial_ended(0, 1.0)])
        WRITES[what](part, writer, keeper)
        return ()

    monkeypatch.setattr(MODULE, "train_part", train_part)
    with pytest.raises(SettingError, match=r"sweep was deleted or moved; the run ends here\.$"):
        sweep("ddpg", POINTS, CONFIG, LOOP, RUN.replace(out=folder), log=quiet)
    assert contents_of(folder) == before


USES = {
    "trained further": lambda best: (best / "config.json").write_text('{"run": {"steps": 240}}'),
    "exported": lambda best: (best / "policy.npz").touch(),
    "annotated": lambda best: (best / "checkpoints" / "notes.txt").touch(),
}


@pytest.mark.parametrize("use", [None, "in training", *USES])
def test_an_earlier_best_is_replaced_unless_it_was_used(use, tmp_path):
    best, said = tmp_path / "best", []
    (best / "checkpoints").mkdir(parents=True)
    (best / "config.json").write_text('{"run": {"steps": 120}}')
    (tmp_path / "best-1").mkdir()
    USES.get(use, quiet)(best)
    before = {path.name for path in best.rglob("*") if path.name != ".lock"}
    with locked(best) if use == "in training" else contextlib.nullcontext():
        _make_empty(best, 120, said.append)
    assert not list(best.iterdir())
    if use is None:
        assert not said
        assert not (tmp_path / "best-2").exists()
        return
    assert said == [f"{best} has been used since the sweep wrote it, so it is kept as {best}-2"]
    assert {path.name for path in (tmp_path / "best-2").rglob("*") if path.name != ".lock"} == before


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_printed_table_has_the_settings_in_full(seeds):
    """As they are given again; one seed has no interval."""
    values = {"discount": 0.9995, "batch_size": 1024, "actor_lr": 0.00031622776601683794, "hidden": (64, 64)}
    printed = trials_table([{"trial": 3, **values, "steps": 10_000, "iqm": 1.25, "low": 1.0, "high": 1.5}], seeds)
    cells = {column.header: next(iter(column.cells)) for column in printed.columns}
    assert {name: cells[name] for name in values} == {name: str(value) for name, value in values.items()}
    assert (cells["steps"], cells["iqm"], "low" in cells, "high" in cells) == ("10,000", "1.25", seeds > 1, seeds > 1)
    assert ("95% interval" in printed.title) == (seeds > 1)


def test_from_the_command_line(tmp_path, capsys):
    """One table printed, best first; the same folder is refused, and replaced when asked to be."""
    command = (
        "sweep td3 --env lqr --episode-length 10 --steps 60 --evaluations 1 --eval-episodes 1 --hidden 4 "
        "--batch-size 4 --replay-capacity 100 --warmup-steps 40 --grid normalize_obs True False "
        f"--range actor_lr log 1e-4 1e-3 --sample 2 --out {tmp_path / 'run'}"
    )
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    assert "part 2 of 2: 2 trials x 1 seed" in printed
    assert len(rows_of(tmp_path / "run" / "sweep.csv")) == 4
    assert (tmp_path / "run" / "sweep.png").stat().st_size > 10_000
    best = max(rows_of(tmp_path / "run" / "sweep.csv"), key=lambda row: float(row["mean"]))  # of both parts
    config = read_run(tmp_path / "run" / "best").config
    assert (str(config.normalize_obs), str(config.actor_lr)) == (best["normalize_obs"], best["actor_lr"])
    assert main(shlex.split(command)) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main(shlex.split(command.replace("--range actor_lr log", "--range actor_lr square"))) == 2
    assert "range of actor_lr must be log or uniform, not 'square'." in capsys.readouterr().err
    assert main([*shlex.split(command), "--overwrite"]) == 0


@pytest.mark.parametrize("halving", [-1, 4])
def test_halving_needs_evaluations(halving):
    with pytest.raises(SettingError, match="halving must be from 0 to one less than evaluations"):
        sweep("ddpg", POINTS, CONFIG, LOOP, RUN, halving=halving)


def test_nothing_to_try_is_refused():
    with pytest.raises(SettingError, match="trials must name at least one setting"):
        sweep("ddpg", [], CONFIG, LOOP, RUN)


def test_what_a_sweep_does_not_do_is_refused(tmp_path):
    """It has no run of Weights & Biases per seed."""
    with pytest.raises(SettingError, match="wandb must be None for a sweep"):
        sweep("ddpg", POINTS, CONFIG, LOOP, RUN.replace(wandb="project", out=tmp_path / "sweep"))
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "axes",
    [
        {"actor_lr": [1e-5, 1e-4, 1e-3]},
        {"norm": ["none", "layer"]},
        {"actor_lr": [1e-4, 1e-3], "hidden": [(4,), (8, 8)]},
        {"a": [1.0, 2.0], "b": [3, 4], "c": [True, False], "d": [None, 0.5]},
    ],
)
def test_every_kind_of_sweep_has_a_picture(axes, tmp_path):
    """The worst is not finite, and is left out."""
    points = grid(axes)
    table = [{"trial": i, **p, "iqm": float(i), "low": i - 1.0, "high": i + 2.0} for i, p in enumerate(points)]
    table[-1] |= dict.fromkeys(("iqm", "low", "high"), -math.inf)
    figures.sweep(points, table, tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").stat().st_size > 5_000


def test_values_of_settings_are_legible_in_the_picture():
    """Whole numbers in full, which a figure counts as floats, too."""
    shown = [figures._label(value) for value in (1024.0, 100_000.0, 0.9995, 1e-4, 1e30, "layer", "True")]
    assert shown == ["1024", "100000", "0.9995", "0.0001", "1e+30", "layer", "True"]
