"""benchmarks/learning.py and solve.py: a pair from the table to its file, going on, other libraries, and the table."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import figures
import learning
import numpy as np
import pytest
import readme
import solve
import tasks
import tune

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, run_experiment
from ddpg_jax.envs.suites import is_own_id
from ddpg_jax.runs.presets import tuned, tuned_settings
from ddpg_jax.runs.registry import OWN
from ddpg_jax.runs.statistics import superiority

TOY = "--env lqr --episode-length 7 --steps 80 --warmup-steps 40 --hidden 4 --batch-size 4 --evaluations 2"
TOY += " --replay-capacity 100 --eval-episodes 1"
PEER = """
import json, sys
config = json.loads(sys.argv[1])
seeds = config["seeds"]
print("something that a library says")
for steps in (30, 60):
    print(json.dumps({"steps": steps, "seconds": 1.0, "eval_return": [float(steps + seed) for seed in seeds]}))
if config["algorithm"] == "sac":
    print(json.dumps({"error": "no such thing"}))
    sys.exit(1)
final = [100.0 * seed for seed in seeds]
print(json.dumps({"done": True, "seconds": 2.0, "final": final, "episodes": 3, "versions": {}, "settings": config}))
"""


@pytest.fixture
def out(tmp_path, monkeypatch, same_programs):
    monkeypatch.setitem(tasks.TASKS, "smoke-pendulum", TOY)
    monkeypatch.setattr(learning, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(learning, "EPISODES", 3)
    return tmp_path / "out"


def run(out, *words):
    learning.main(["--suite", "smoke", "--tasks", "smoke-pendulum", "--out", str(out), *words])


def test_a_pair_is_trained_once_and_its_file_says_how(out):
    run(out)
    path = out / "smoke-pendulum--ddpg.json"
    found = json.loads(path.read_text())
    assert found["command"] == f"ddpg-jax train ddpg {TOY} --seeds 2"
    assert found["curve"]["steps"] == [40, 60, 80]
    assert [row["seed"] for row in found["seeds"]] == [0, 1]
    assert found["final"]["seeds"] == 2
    assert found["final"]["low"] <= found["final"]["iqm"] <= found["final"]["high"]
    assert found["best"]["iqm"] >= max(map(min, found["curve"]["eval_return"]))
    assert not list((out.parent / "unfinished").iterdir())
    path.write_text("{}")
    run(out)
    assert path.read_text() == "{}"
    run(out, "--again")
    assert json.loads(path.read_text())["seeds"] == found["seeds"]


def test_a_run_that_was_asked_to_stop_goes_on(out, monkeypatch):
    """It leaves no result but its folder, where an evaluation lies already; the next call trains what is left."""
    train, asked = learning.ddpg_jax, []

    def told(words):
        asked.append(words[1])
        if words[1] == "--resume":
            return train(words)
        config, loop = DDPGConfig(hidden=(4,)), LoopConfig(batch_size=4, warmup_steps=40, replay_capacity=100)
        limits = {"env": "lqr", "episode_length": 7, "steps": 80, "evaluations": 2, "eval_episodes": 1, "seeds": 2}
        asked_to = RunConfig(**limits, tensorboard=False, out=words[-1])
        return {"stopped": 75}[run_experiment("ddpg", config, loop, asked_to, should_stop=lambda: True).outcome]

    monkeypatch.setattr(learning, "ddpg_jax", told)
    with pytest.raises(SystemExit, match="75"):
        run(out)
    assert not list(out.iterdir())
    assert len(list(learning.UNFINISHED.glob("smoke-pendulum--ddpg-*/evaluation.json"))) == 1

    def cut_off(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learning, "evaluate_run", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run(out)
    assert asked == ["ddpg", "--resume"]
    run(out)
    assert asked == ["ddpg", "--resume"]
    with pytest.raises(SystemExit, match="75"):
        run(out, "--seeds", "1", "--again")
    assert asked == ["ddpg", "--resume", "ddpg"]
    assert json.loads((out / "smoke-pendulum--ddpg.json").read_text())["curve"]["steps"] == [40, 60, 80]


def test_seeds_apart_stop_together_and_keep_folders_of_their_own(monkeypatch):
    """Otherwise a seed would be left out of the result, or the next one go on with its run."""
    asked = []
    monkeypatch.setattr(learning, "measure", lambda flags, seeds, name: asked.append((flags, name)) or None)
    assert learning.measure_apart("ddpg", 3, "toy") is None
    assert asked == [("ddpg --seed 0", "toy-0")]
    one = {"seconds": 1.0, "seeds": [{"mean": 1.0}], "curve": {"eval_return": [[1.0]]}}
    monkeypatch.setattr(learning, "measure", lambda flags, seeds, name: asked.append((flags, name)) or one)
    assert learning.measure_apart("ddpg", 2, "toy")["final"]["seeds"] == 2
    assert asked[1:] == [("ddpg --seed 0", "toy-0"), ("ddpg --seed 1", "toy-1")]


def test_a_search_is_of_the_task_as_it_is_learnt(tmp_path, monkeypatch):
    """Its physics, environments and time limit; the first setting is the defaults."""
    given = []
    swept = SimpleNamespace(best={"actor_lr": 0.123456, "norm": "none"}, table=[])
    monkeypatch.setattr(tune, "sweep", lambda *args, **options: given.append(args) or swept)
    assert tune.search("reacher", "td3", 4)["best"] == {"actor_lr": 0.123, "norm": "none"}
    _, points, config, loop, run = given[0]
    assert (run.env, run.backend, run.steps, loop.num_envs, loop.updates_per_step) == (
        "brax/reacher",
        "spring",
        50_000,
        8,
        8,
    )
    assert len(points) == 4
    assert all(points[0][name] == getattr(config, name) for name in points[0])
    tune.search("lqr", "sac", 2)
    assert given[1][4].episode_length == 20


def peer(tmp_path, monkeypatch, module):
    """A library of that protocol, under the interpreter of the tests."""
    (tmp_path / "peers" / "toy").mkdir(parents=True)
    (tmp_path / "peers" / "toy" / "learn.py").write_text(PEER)
    interpreter = tmp_path / "peers" / ".venv" / "toy" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    monkeypatch.setattr(module, "HERE", tmp_path)


@pytest.mark.parametrize("together", [True, False])
def test_another_library_is_given_the_same_and_joined_over_seeds(out, tmp_path, monkeypatch, together):
    peer(tmp_path, monkeypatch, learning)
    toy = tasks.Peer("toy", "Toy-v1", ("ddpg", "sac"), together=together)
    found = learning.measure_peer(toy, "ddpg", "smoke-pendulum", 3)
    assert [row["mean"] for row in found["seeds"]] == [0.0, 100.0, 200.0]
    assert found["curve"]["eval_return"] == [[30.0, 31.0, 32.0], [60.0, 61.0, 62.0]]
    given = found["settings"]
    assert (given["steps"], given["evaluations"], given["episodes"]) == (80, 2, 1)
    assert (given["final_episodes"], given["env"]) == (3, "Toy-v1")
    assert found["final"]["iqm"] == 100.0
    with pytest.raises(SystemExit, match="no such thing"):
        learning.measure_peer(toy, "sac", "smoke-pendulum", 3)


def test_another_library_as_it_comes_is_given_no_settings(tmp_path, monkeypatch):
    peer(tmp_path, monkeypatch, learning)
    monkeypatch.setitem(tasks.OWN_TASKS, "smoke-pendulum", TOY)
    given = learning.measure_peer(tasks.Peer("toy", "Toy-v1", ("ddpg",)), "ddpg", "smoke-pendulum", 2)["settings"]
    assert given["own_defaults"] is True
    assert not set(tasks.EVEN) & set(given)


def test_a_profile_is_the_share_of_runs_above_a_score_in_the_mean_over_tasks(tmp_path):
    above = [np.array([[True, True], [False, True]]), np.array([[True, False, True, True], [False] * 4])]
    np.testing.assert_allclose(figures.share(*above), [0.875, 0.25])
    scores = [np.array([0.2, 0.8]), np.array([0.4, 0.5, -1.0])]
    figures.profiles({"ours": {"ddpg": scores}, "beside": {"a": scores, "b": scores[:1]}}, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size


def test_seeds_that_diverged_count_with_the_worst():
    rows = [{"mean": 1.0}, {"mean": None}]
    found = learning.summaries(rows, [[0.0, -3.0], [2.0, None]])
    assert found["final"]["low"] == -3.0
    assert found["best"]["low"] == -3.0
    assert found["best"]["high"] == 2.0


def test_a_run_that_diverged_ends_below_all_others():
    found = {"seeds": [{"mean": None}, {"mean": float("nan")}, {"mean": -5.0}]}
    assert readme.ends(found) == [-math.inf, -math.inf, -5.0]
    assert superiority(readme.ends(found), [-6.0, -7.0]) == pytest.approx(1 / 3)


def test_solving_is_seen_in_the_lines_of_anybody(tmp_path, monkeypatch):
    peer(tmp_path, monkeypatch, solve)
    config = {"algorithm": "ddpg"}
    solved = solve.solve(solve.Contender("toy", "Toy-v1", 55.0, peer="toy", config=config), 0, str(tmp_path))
    assert solved["steps"] == 60
    assert solved["seconds"] < 60
    never = solve.solve(solve.Contender("toy", "Toy-v1", 65.0, peer="toy", config=config), 0, str(tmp_path))
    assert never == {"seed": 0, "seconds": None, "steps": None}


def test_the_table_names_what_there_is():
    """Every task is known or of a package that is not installed, every pair is a command line that parses."""
    for suite in tasks.SUITES.values():
        assert set(suite.tasks) <= tasks.TASKS.keys()
        assert set(suite.methods) <= tasks.METHODS.keys()
        assert {method.split(":")[0] for method in suite.methods} <= OWN.keys()
    for task in tasks.CPU_TASKS:
        assert is_own_id(learning.option(task, "--env"))
    pairs = set(learning.pairs_of("cpu", None, None))
    assert ("lqr", "ddpg") in pairs
    assert all(
        tuned(method.split(":")[0], learning.option(task, "--env")) for task, method in pairs if ":best" in method
    )
    assert len(tasks.SUITES["gpu"].tasks) == 18
    assert all(set(tune.SPACE | tune.OF[name]) <= OWN[name].config.__dataclass_fields__.keys() for name in tune.OF)


def test_tuned_presets_are_what_the_searches_found():
    """And every search that is kept is a preset."""
    found = {tuple(path.stem.split("--")): json.loads(path.read_text()) for path in tune.RESULTS.glob("*.json")}
    kept: dict[str, dict[str, dict]] = {}
    for (_, method), result in found.items():
        kept.setdefault(method, {})[result["env"]] = result["best"]
    assert kept == tuned_settings()


@pytest.mark.slow
def test_the_smoke_suite_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "UNFINISHED", tmp_path / "unfinished")
    learning.main(["--suite", "smoke", "--out", str(tmp_path)])
    results = {path.stem: json.loads(path.read_text()) for path in Path(tmp_path).glob("*.json")}
    assert results["smoke-pendulum--ddpg"]["final"]["iqm"] > -400
    assert set(results) == {"smoke-pendulum--ddpg", "smoke-inverted-pendulum--ddpg"}
