"""benchmarks/learning.py and solve.py: a pair from the table to its file, going on, other libraries, and the table."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import diagnosis
import figures
import learning
import numpy as np
import pytest
import readme
import solve
import tasks
import tune
from matplotlib.axes import Axes

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, run_experiment
from ddpg_jax.envs.suites import is_own_id
from ddpg_jax.runs.presets import tuned, tuned_settings
from ddpg_jax.runs.registry import OWN
from ddpg_jax.runs.statistics import superiority

TOY = "--env lqr --episode-length 7 --steps 80 --warmup-steps 40 --hidden 4 --batch-size 4 --evaluations 2"
TOY += " --replay-capacity 60 --eval-episodes 1"
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
    assert learning.outdated(found) == ""
    assert found["settings"]["config"]["hidden"] == [4]
    assert "out" not in found["settings"]["run"]
    assert found["commit"] is None or re.match("[0-9a-f]{7}", found["commit"])
    assert found["curve"]["steps"] == [40, 60, 80]
    assert len(found["saturation"]) == found["final"]["seeds"]
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


def test_a_result_of_other_defaults_is_named(tmp_path, monkeypatch):
    """A setting that was not there yet is not another default, and a result without settings is an older one."""
    command = "ddpg-jax train ddpg --env lqr --steps 80 --seed N"
    old = {"command": command, "settings": learning.settings_of("ddpg --env lqr --steps 80")}
    old["settings"]["config"] |= {"tau": 0.5}
    del old["settings"]["loop"]["n_step"]
    theirs = {"command": "benchmarks/peers/toy/learn.py", "settings": {"tau": 0.5}}
    (tmp_path / "learning").mkdir()
    for name, result in {"old": old, "theirs": theirs, "older": {"command": command}}.items():
        (tmp_path / "learning" / f"{name}.json").write_text(json.dumps(result))
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    (said,) = readme.outdated_results()
    assert said.startswith("old.json ")
    assert said.endswith(": tau is 0.005 and was 0.5")


def test_a_run_with_other_defaults_is_begun_anew(out, monkeypatch):
    """Its folder is not that of the run which was begun, though the flags are the same."""
    folder = learning.folder_of(f"ddpg {TOY}", 2, "toy")
    assert folder == learning.folder_of(f"ddpg {TOY}", 2, "toy")
    settings = learning.settings_of
    monkeypatch.setattr(learning, "settings_of", lambda flags: settings(f"{flags} --tau 0.1"))
    assert learning.folder_of(f"ddpg {TOY}", 2, "toy") != folder


def test_what_is_unfinished_is_deleted_before_it_is_repeated(out, monkeypatch):
    """What has a longer name stays."""
    own = ["smoke-pendulum--ddpg-01234567", "smoke-pendulum--ddpg-0-01234567"]
    others = ["smoke-pendulum--ddpg-own-01234567", "smoke-pendulum--td3-01234567"]
    for name in (*own, *others):
        (learning.UNFINISHED / name).mkdir(parents=True)
    (learning.UNFINISHED / "smoke-pendulum--ddpg-1-01234567.json").write_text("{}")
    monkeypatch.setattr(learning, "measure", lambda *args: None)
    with pytest.raises(SystemExit, match="75"):
        run(out)
    assert {path.name for path in learning.UNFINISHED.iterdir()} >= {*own, *others}
    with pytest.raises(SystemExit, match="75"):
        run(out, "--again")
    assert {path.name for path in learning.UNFINISHED.iterdir()} == set(others)


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


def test_seeds_apart_stop_together_and_the_next_call_trains_those_that_are_missing(tmp_path, monkeypatch):
    """Otherwise a seed would be left out of the result, or the next one go on with its run."""
    monkeypatch.setattr(learning, "UNFINISHED", tmp_path)
    one = {"seconds": 1.0, "seeds": [{"mean": 1.0}], "curve": {"eval_return": [[1.0]]}, "saturation": [0.5]}
    asked, left = [], [one, None, one]
    monkeypatch.setattr(learning, "measure", lambda flags, seeds, name: asked.append((flags, name)) or left.pop(0))
    assert learning.measure_apart("ddpg", 2, "toy") is None
    assert asked == [("ddpg --seed 0", "toy-0"), ("ddpg --seed 1", "toy-1")]
    assert learning.measure_apart("ddpg", 2, "toy")["final"]["seeds"] == 2
    assert asked[2:] == [("ddpg --seed 1", "toy-1")]
    assert not list(tmp_path.iterdir())


def test_seeds_apart_of_which_one_diverged_early_are_joined():
    long = {"seconds": 1.0, "seeds": [{"mean": 3.0}], "curve": {"steps": [1, 2], "eval_return": [[1.0], [3.0]]}}
    long["saturation"] = [0.5]
    short = {"seconds": 1.0, "seeds": [{"mean": None}], "curve": {"steps": [1], "eval_return": [[2.0]]}}
    short["saturation"] = [None]
    found = learning.joined([short, long], "toy")
    assert found["curve"] == {"steps": [1, 2], "eval_return": [[2.0, 1.0], [None, 3.0]]}
    assert found["saturation"] == [None, 0.5]
    assert found["final"]["low"] == 1.0


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


def test_each_search_has_its_own_draws(monkeypatch):
    given = []
    swept = SimpleNamespace(best={}, table=[])
    monkeypatch.setattr(tune, "sweep", lambda method, trials, *args, **options: given.append(trials) or swept)
    for task, method in (("reacher", "td3"), ("reacher", "ddpg"), ("lqr", "td3"), ("reacher", "td3")):
        tune.search(task, method, 2)
    assert given[3] == given[0]
    assert len({trials[1]["actor_lr"] for trials in given}) == 3


def test_what_a_search_found_becomes_the_preset(tmp_path, monkeypatch):
    text = tune.PRESETS.read_text(encoding="utf-8")
    presets = json.loads(text)
    monkeypatch.setattr(tune, "PRESETS", tmp_path / "tuned.json")
    monkeypatch.setattr(tune, "RESULTS", tmp_path)
    monkeypatch.setattr(tune, "prepare", lambda members: None)
    monkeypatch.setattr(sys, "argv", ["tune.py", "--tasks", "reacher", "--methods", "td3"])
    tune.PRESETS.write_text(text, encoding="utf-8")
    found = {"env": "brax/reacher", "best": presets["td3"]["brax/reacher"], "table": [{"iqm": 0.0}]}
    monkeypatch.setattr(tune, "search", lambda *args: found)
    tune.main()
    assert tune.PRESETS.read_text(encoding="utf-8") == text
    (tmp_path / "reacher--td3.json").unlink()
    found |= {"env": "lqr", "best": {"tau": 0.1}}
    tune.main()
    presets["td3"]["lqr"] = {"tau": 0.1}
    assert json.loads(tune.PRESETS.read_text(encoding="utf-8")) == presets


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


def test_a_signal_ends_other_libraries(out, tmp_path, monkeypatch):
    """The exit code is that of a run which was stopped on request."""
    peer(tmp_path, monkeypatch, learning)
    script = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(10)"
    (tmp_path / "peers" / "toy" / "learn.py").write_text(script)
    processes, codes, ended, start = [], [], threading.Event(), subprocess.Popen

    def popen(*args, **options):
        processes.append(start(*args, **options))
        return processes[-1]

    def end(code):
        codes.append(code)
        ended.set()
        threading.Event().wait()  # this thread would have ended the process

    def measure(name):
        try:
            return learning.measure_peer(tasks.Peer("toy", "Toy-v1", ("ddpg",)), "ddpg", "lqr", 1)
        finally:
            assert ended.wait(10)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(learning, "work_of", lambda chosen: {"toy": measure})
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(SystemExit, match="no answer"):
            run(out)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert codes == [75]
    assert processes[0].returncode == -signal.SIGTERM


def test_another_library_as_it_comes_is_given_no_settings(tmp_path, monkeypatch):
    peer(tmp_path, monkeypatch, learning)
    monkeypatch.setitem(tasks.OWN_TASKS, "smoke-pendulum", TOY)
    given = learning.measure_peer(tasks.Peer("toy", "Toy-v1", ("ddpg",)), "ddpg", "smoke-pendulum", 2)["settings"]
    assert given["own_defaults"] is True
    assert not set(tasks.EVEN) & set(given)


def recording(drawn):
    """`Axes.plot`, which also keeps the names or colors of lines with what is drawn and how."""
    plot = Axes.plot

    def record(axes, x, y, **options):
        drawn.append((x, y, options))
        return plot(axes, x, y, **options)

    return record


def test_default_settings_are_drawn_solid_and_tuned_ones_dashed(tmp_path, monkeypatch):
    """On every task, whether or not there are tuned ones."""
    drawn = []
    monkeypatch.setattr(Axes, "plot", recording(drawn))
    curve = {"steps": [0, 1], "eval_return": [[0.0, 1.0], [1.0, 2.0]]}
    figures.curves({"one": {"ddpg": curve}, "other": {"ddpg": curve, "ddpg-best": curve}}, tmp_path / "c.png")
    assert [options["linestyle"] for *_, options in drawn] == ["-", "-", "--"]


def test_a_profile_is_the_share_of_runs_above_a_score_in_the_mean_over_tasks(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Axes, "plot", recording(drawn))
    scores = [np.array([0.2, 0.8]), np.array([0.4, 0.5, -1.0])]
    figures.profiles({"ours": {"ddpg": scores}, "beside": {"a": scores, "b": scores[:1]}}, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size
    levels, fraction, _ = drawn[0]
    np.testing.assert_allclose(fraction[np.searchsorted(levels, [0.1, 0.45, 0.6])], [5 / 6, 5 / 12, 1 / 4])


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


def test_no_result_is_measured_twice_and_none_is_asked_for_in_vain(out, capsys):
    """Two methods of one algorithm have the same results of other libraries beside them."""
    chosen = {"presets": [], "suite": "own", "tasks": None, "methods": None, "seeds": None}
    names = list(learning.work_of(SimpleNamespace(**chosen)))
    assert len(names) == len(set(names))
    assert "own-pendulum--sbx-sac" in names
    with pytest.raises(SystemExit, match="2"):
        learning.main(["--suite", "cpu", "--tasks", "own-pendulum", "--out", str(out)])
    assert "suite cpu has none of these tasks" in capsys.readouterr().err


def test_the_examples_of_commands_name_what_there_is():
    assert set(re.findall(r"--only (\S+)", diagnosis.__doc__)) <= diagnosis.CASES.keys()


def test_the_table_of_solved_tasks_has_the_number_of_seeds(tmp_path, monkeypatch):
    seeds = [{"seed": 0, "seconds": 1.0, "steps": 1}, {"seed": 1, "seconds": None, "steps": None}]
    contender = {"task": "Toy-v1", "goal": 1.0, "seeds": seeds}
    (tmp_path / "solve.json").write_text(json.dumps({"contenders": {"toy": contender}}))
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    assert readme.solve().splitlines()[-1] == "| `Toy-v1` | 1 | toy | 2 | 1.0 s | not solved |"


def few_of(lines):
    """Those of the command lines with a word, or an option of an algorithm, that no line before has.

    Environments and numbers, which differ most, do not count: reading all command lines takes long.
    """
    seen = set()
    for flags in sorted(lines, key=len, reverse=True):
        algorithm, *words = re.sub(r"--env \S+", "--env", flags).split()
        parts = {word for word in words if not re.fullmatch(r"-?\d[\de.-]*", word)}
        parts |= {f"{algorithm} {word}" for word in words if word.startswith("--")}
        if parts - seen:
            seen |= parts
            yield flags


def test_every_pair_and_preset_is_a_command_line_that_parses():
    pairs = [pair for suite in tasks.SUITES for pair in learning.pairs_of(suite, None, None)]
    for flags in few_of([learning.flags_of(method, task) for task, method in pairs]):
        assert learning.settings_of(flags)["algorithm"] == flags.split()[0]
    for flags in tasks.PRESET_RUNS.values():
        assert learning.settings_of(flags)["run"]["seeds"] == 1


def test_our_even_settings_are_those_of_the_others():
    """Those of `EVEN` and no layer norm; SAC draws its actions, so that the noise there is not its own."""
    expected = {name: value for name, value in tasks.EVEN.items() if name != "noise"} | {"norm": "none"}
    for method in tasks.SUITES["even"].methods:
        settings = learning.settings_of(learning.flags_of(method, "even-pendulum"))
        found = settings["config"] | settings["loop"]
        assert {name: found[name] for name in expected} == expected, method
        assert found["noise"] == "gaussian"
        assert found.get("noise_scale", tasks.EVEN["noise"]) == tasks.EVEN["noise"]


def test_the_table_names_what_there_is():
    """Every task is known or of a package that is not installed, every method is of an algorithm."""
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
    other = tasks.SMOKE_TASKS["smoke-inverted-pendulum"]
    monkeypatch.setitem(tasks.TASKS, "smoke-inverted-pendulum", other.replace("inverted_pendulum", "fast"))
    learning.main(["--suite", "smoke", "--out", str(tmp_path)])
    results = {path.stem: json.loads(path.read_text()) for path in Path(tmp_path).glob("*.json")}
    assert results["smoke-pendulum--ddpg"]["final"]["iqm"] > -400
    assert set(results) == {"smoke-pendulum--ddpg", "smoke-inverted-pendulum--ddpg"}
