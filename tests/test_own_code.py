"""Environments and algorithms of one's own: from files, objects and names, in every command that takes a run folder."""

import json
import shutil
import sys
import warnings
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ddpg_jax
from ddpg_jax import (
    Algorithm,
    DDPGConfig,
    LoopConfig,
    RunConfig,
    SettingError,
    ddpg,
    grid,
    load_policy,
    make_env,
    make_policy,
    make_renderer,
    open_run,
    register_algorithm,
    register_environment,
    run_experiment,
    save_run,
    sweep,
    train,
)
from ddpg_jax.cli.main import main
from ddpg_jax.deploy.evaluate import evaluate_run
from ddpg_jax.envs import registered, suites
from ddpg_jax.envs.references import is_reference, label, load
from ddpg_jax.runs import named, registry, trust
from ddpg_jax.runs.checkpoint import load_learner, saved_steps
from ddpg_jax.runs.checksum import json_checksum
from ddpg_jax.runs.files import atomic_write

# The replay of a run that goes on to more steps stays as it is, and so does its program.
FLAGS = "--hidden 4 --batch-size 4 --replay-capacity 60 --warmup-steps 40 --eval-episodes 2 --steps 60 --evaluations 1"
FLAGS += " --episode-length 9"
CONFIG = DDPGConfig(hidden=(4,), norm="none", actor_lr=1e-3)
LOOP = LoopConfig(batch_size=4, replay_capacity=60, warmup_steps=40)
ROOM = LOOP.replace(replay_capacity=100)  # for more steps than are trained
RUN = RunConfig(steps=60, evaluations=1, eval_episodes=2, episode_length=9, tensorboard=False)
ALGORITHM = Algorithm(DDPGConfig, partial(ddpg), "DDPG by another name.")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What `ddpg-jax new` writes, in a folder of its own."""
    folder = tmp_path_factory.mktemp("own")
    assert main(["new", "env", str(folder / "tank.py")]) == main(["new", "algorithm", str(folder / "mine.py")]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(files):
    """A run of both, by their references, on the command line."""
    words = f"train {files}/mine.py:ALGORITHM --env {files}/tank.py:Tank --charge 0.5 --no-tensorboard {FLAGS}"
    assert main([*words.split(), "--out", str(files / "run")]) == 0
    return files / "run"


@pytest.fixture
def copy(trained, files, tmp_path):
    """The run and both files, in a folder that may be changed; nobody has asked for its code before."""
    shutil.copytree(trained, tmp_path / "run")
    for file in ("tank.py", "mine.py"):
        shutil.copy(files / file, tmp_path / file)
    for place in ("config.json", "checkpoints/60/metadata/metadata"):
        text = (tmp_path / "run" / place).read_text().replace(str(files), str(tmp_path))
        contents = json.loads(text)
        if contents.pop("checksum", None) is not None:
            contents["checksum"] = json_checksum(contents)
        (tmp_path / "run" / place).write_text(json.dumps(contents))
    return tmp_path / "run"


def refusal(call, *args, **kwargs):
    with pytest.raises(SettingError) as error:
        call(*args, **kwargs)
    return str(error.value)


def evaluated(run, **kwargs):
    return evaluate_run(open_run(run, **kwargs), 2)["seeds"][0]["mean"]


def test_what_new_writes_is_commented_and_short(files, capsys):
    for file in ("tank.py", "mine.py"):
        text = (files / file).read_text()
        assert len(text.splitlines()) <= 46
        assert text.count("#") >= 3
        assert f"{file}:" in text.splitlines()[0]
    assert main(["new", "env", str(files / "tank.py")]) == 2
    assert "already exists; --overwrite replaces it" in capsys.readouterr().err


def test_a_run_folder_keeps_the_reference_the_file_and_its_hash(trained, files):
    contents = json.loads((trained / "config.json").read_text())
    assert contents["algorithm"] == f"{files}/mine.py:ALGORITHM"
    assert contents["run"]["env"] == f"{files}/tank.py:Tank"
    assert contents["config"]["charge"] == 0.5
    assert contents["spec"]["name"] == "Tank"
    for kind, file in (("algorithm", "mine.py"), ("env", "tank.py")):
        assert contents["code"][kind]["file"] == str(files / file)
        assert (trained / "code" / f"{kind}.py").read_bytes() == (files / file).read_bytes()


def test_later_commands_need_no_flag(trained, tmp_path, capsys):
    assert main(["evaluate", str(trained), "--episodes", "2"]) == 0
    assert "mine on Tank" in capsys.readouterr().out
    assert main(["export", str(trained), "--format", "npz", "--out", str(tmp_path / "p.npz")]) == 0
    assert main(["render", str(trained), "--out", str(tmp_path / "p.gif"), "--max-steps", "2", "--size", "64"]) == 0
    assert main(["report", str(trained), "--out", str(tmp_path / "r.html"), "--no-pictures"]) == 0
    assert "mine on Tank" in (tmp_path / "r.html").read_text()


def test_nothing_is_imported_from_a_folder_unasked(copy):
    """Neither the file that it names nor its copy; when the user has said so once, it is remembered."""
    (copy.parent / "mine.py").write_text("raise SystemExit('executed')")
    before = set(sys.modules)
    said = refusal(load_policy, copy)
    assert f"{copy.parent}/mine.py), which is not imported unasked" in said
    assert "--trust" in said
    assert set(sys.modules) == before
    with pytest.warns(UserWarning, match="mine.py has changed since the run began; its copy"):
        load_policy(open_run(copy, trust=True))
    with warnings.catch_warnings(record=True):
        assert load_policy(copy)(np.zeros(2)).shape == (1,)


def test_a_comparison_imports_what_its_folders_name_only_with_trust(copy, capsys):
    words = ["plot", str(copy), "--out", str(copy.parent / "figure.png")]
    assert main(words) == 2
    assert "--trust (trust=True) imports it" in capsys.readouterr().err
    assert main([*words, "--trust"]) == 0
    assert (copy.parent / "figure.png").exists()


def test_what_is_remembered_is_the_name_the_file_and_its_contents(tmp_path, monkeypatch):
    file = tmp_path / "a.py"
    file.write_text("X = 1")
    code = load(f"{file}:X")[1]
    trust.remember("a.py:X", code)
    monkeypatch.setattr(trust, "_now", set())  # as in another process
    assert trust.is_trusted("a.py:X", code)
    assert not trust.is_trusted("a.py:Y", code)
    assert not trust.is_trusted("a.py:X", code._replace(file="/elsewhere/a.py"))
    assert not trust.is_trusted("a.py:X", code._replace(sha256="0" * 64))


def test_a_copy_that_is_not_what_its_hash_says_is_refused(copy):
    (copy.parent / "mine.py").unlink()
    (copy / "code" / "algorithm.py").write_text("raise SystemExit('executed')")
    assert "must be as it was when the run began" in refusal(open_run, copy, trust=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda config: config.pop("code"), "must be a reference if and only if there is a `code.algorithm`"),
        (lambda config: config["code"].pop("env"), "must be a reference if and only if there is a `code.env`"),
        (lambda config: config.update(algorithm="ddpg"), "must be a reference if and only if"),
        (lambda config: config.update(algorithm="os:abort"), "which is not imported unasked"),
    ],
)
def test_edits_of_what_is_named_are_refused(copy, change, sentence):
    config = json.loads((copy / "config.json").read_text())
    change(config)
    (copy / "config.json").write_text(json.dumps(config))
    assert sentence in refusal(load_policy, copy)


def test_resume_refuses_a_changed_file_unless_it_is_accepted(copy, capsys):
    stored = open_run(copy, trust=True)
    stored.name_env()
    (copy.parent / "tank.py").write_text((copy.parent / "tank.py").read_text() + "# changed\n")
    assert "tank.py must be as it was" in refusal(ddpg_jax.resume, copy, steps=80, log=None)
    assert main(["evaluate", str(copy), "--episodes", "1"]) == 0
    said = f"warning: {copy.parent}/tank.py has changed since the run began; its copy {copy}/code/env.py is used.\n"
    assert capsys.readouterr().err == said
    result = ddpg_jax.resume(copy, steps=80, accept_changes=True, log=None)
    assert result.steps == 80
    assert (copy / "code" / "env.py").read_text().endswith("# changed\n")
    assert evaluated(copy) is not None


def test_resume_goes_on_from_the_copy_where_the_file_is_gone(copy):
    open_run(copy, trust=True).name_env()
    (copy.parent / "tank.py").unlink()
    assert ddpg_jax.resume(copy, steps=80, log=None).steps == 80


class Drift:
    """A gymnax-style object: a point that drifts; its time limit is ours."""

    def __init__(self, gain=1.0):
        self.gain = gain

    def action_space(self, params):
        from gymnax.environments.spaces import Box

        return Box(-1.0, 1.0, (1,))

    def reset_env(self, key, params):
        x = jax.random.normal(key, (2,))
        return x, x

    def step_env(self, key, x, action, params):
        x = 0.9 * x + 0.1 * self.gain * action[0]
        return x, x, -jnp.square(x).sum(), False, {}


class Drawn(Drift):
    """One that draws itself."""

    def render(self, state):
        return np.zeros((8, 8, 3), np.uint8)


def test_an_object_has_a_run_folder(tmp_path, monkeypatch):
    """Of which this process knows the environment, and another one asks for it."""
    drift, run = Drift(), RUN.replace(out=tmp_path / "run")
    result = run_experiment("ddpg", CONFIG, LOOP, run.replace(env=drift), log=None)
    assert result.run.env.startswith("Drift@")
    mean = evaluated(result.folder)
    monkeypatch.setattr(named, "_objects", {})
    assert load_policy(result.folder)(np.zeros(2)).shape == (1,)  # needs no environment
    said = refusal(evaluated, result.folder)
    assert "is an object of another process; give it again as env: the object to open_run, or a reference" in said
    assert evaluated(result.folder, env=Drift()) == pytest.approx(evaluated(result.folder, env=drift))
    assert np.isfinite(mean)
    assert "observes or acts otherwise" in refusal(evaluated, result.folder, env="Pendulum-v1")
    assert ddpg_jax.resume(open_run(result.folder, env=Drift()), steps=80, log=None).steps == 80


@pytest.mark.slow
def test_an_algorithm_object_reaches_everything(tmp_path):
    result = run_experiment(ALGORITHM, CONFIG, LOOP, RUN.replace(env="lqr", out=tmp_path / "run"), log=None)
    plain = run_experiment("ddpg", CONFIG, LOOP, RUN.replace(env="lqr", out=tmp_path / "plain"), log=None)
    assert result.table == plain.table
    assert load_policy(result.folder)(np.ones(2)) == pytest.approx(load_policy(plain.folder)(np.ones(2)))
    again = open_run(result.folder, algorithm=ALGORITHM)
    assert ddpg_jax.resume(again, steps=80, log=None).steps == 80
    assert "config of ddpg must be a DDPGConfig, not a LoopConfig" in refusal(run_experiment, "ddpg", LOOP, LOOP, RUN)
    assert "algorithm must be a name, a reference" in refusal(run_experiment, ddpg, CONFIG, LOOP, RUN)


@pytest.mark.slow
def test_a_sweep_of_ones_own(trained, files, tmp_path):
    algorithm, env = f"{files}/mine.py:ALGORITHM", f"{files}/tank.py:Tank"
    config = open_run(trained).config
    run = RUN.replace(env=env, out=tmp_path / "sweep")
    found = sweep(algorithm, grid({"charge": [0.1, 0.2]}), config, LOOP, run, log=None)
    assert {row["charge"] for row in found.table} == {0.1, 0.2}
    assert (tmp_path / "sweep" / "best" / "code" / "env.py").exists()
    assert evaluated(tmp_path / "sweep" / "best") is not None


def test_names_of_a_session(tmp_path, monkeypatch):
    monkeypatch.setattr(registered, "_added", {})
    monkeypatch.setattr(registry, "_added", {})
    register_environment("drift-v0", Drift)
    register_algorithm("my-ddpg", ALGORITHM)
    assert make_env("drift-v0").spec.name == "drift-v0"
    result = run_experiment("my-ddpg", CONFIG, LOOP, RUN.replace(env="drift-v0", out=tmp_path / "run"), log=None)
    assert evaluated(result.folder) is not None
    register_environment("my-lqr", lambda: make_env("lqr", episode_length=9))  # an `Env`, with a name of its own
    result = run_experiment("ddpg", CONFIG, LOOP, RUN.replace(env="my-lqr", episode_length=None, out=tmp_path / "lqr"))
    assert evaluated(result.folder) is not None
    assert make_renderer("my-lqr").dt == make_renderer("lqr").dt
    register_environment("drawn-v0", Drawn)
    assert make_renderer("drawn-v0").draw(None).shape == (8, 8, 3)
    assert "none that ddpg_jax has itself" in refusal(register_algorithm, "ddpg", ALGORITHM)
    assert "must be an Algorithm" in refusal(register_algorithm, "x", ddpg)
    assert "is one" in refusal(register_environment, "Pendulum-v1", Drift())
    assert "without : and @" in refusal(register_environment, "a:b", Drift())


@pytest.mark.parametrize("env", ["Pendulum-v1", "tank.py:Tank"])
def test_a_name_of_a_name_is_refused(env):
    """Since a function that makes the environment says the same, and may set its options."""
    said = f"as lambda: make_env({env!r}) does, not {env!r}."
    assert said in refusal(register_environment, "mine", env)


def test_environments_of_other_packages(tmp_path, monkeypatch):
    (tmp_path / "their_envs.py").write_text("from test_own_code import Drift\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "[ddpg_jax.environments]\ntheirs = their_envs:Drift\nbroken = their_envs:Missing\nlqr = their_envs:Drift\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    registered._installed.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert make_env("theirs").spec.name == "theirs"
        said = [str(warning.message) for warning in caught]
        assert [words.partition(" is left out")[0] for words in said] == [
            "The environment 'broken' of their_envs:Missing",
            "The environment 'lqr' of their_envs:Drift",
        ]
        assert "name must not be that of an environment that ddpg_jax has" in said[1]
        assert make_env("lqr").spec.name == "lqr"
        assert make_env("their_envs:Drift", episode_length=5).spec.episode_length == 5
    finally:
        registered._installed.cache_clear()  # with nothing asked for after it, while the package is there


CODE = """
import sibling
class Env: pass
def needs(x): return x
def fails(): raise ValueError("no pump")
NUMBER = 3
"""


def test_references_that_lead_nowhere_say_where(tmp_path):
    (tmp_path / "sibling.py").write_text("")
    file = tmp_path / "own.py"
    file.write_text(CODE)
    cases = {
        f"{file}:Other": "own.py has nothing called 'Other'; it has Env, needs, fails, NUMBER.",
        f"{file}": f"must be followed by what is in it, as in {file}:Env.",
        f"{file}:needs": "must be callable without arguments (missing a required argument: 'x')",
        f"{file}:fails": "fails raised ValueError at own.py, line 5: no pump.",
        f"{file}:NUMBER": "int is neither an id nor an environment",
        f"{tmp_path}/none.py:X": "none.py must be a file that can be read",
        "no_such_module:X": "no_such_module cannot be imported: ModuleNotFoundError",
    }
    for reference, sentence in cases.items():
        assert sentence in refusal(make_env, reference)
    file.write_text("a = 1\nb = 1 / 0\n")
    assert "own.py cannot be imported, line 2: ZeroDivisionError: division by zero." in refusal(make_env, f"{file}:a")
    file.write_text("a = (\n")
    assert "own.py cannot be imported, line 1: SyntaxError" in refusal(make_env, f"{file}:a")
    assert "must be an Algorithm, as ddpg_jax.Algorithm makes it" in refusal(named.name_algorithm, "math:pi")


@pytest.mark.parametrize("folder", ["jax", "ddpg_jax"])
def test_a_folder_may_be_called_as_a_library_is(folder, tmp_path):
    """And the line of a fault in it is still named."""
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "own.py").write_text("def fails(): raise ValueError('no pump')\n")
    said = refusal(make_env, f"{tmp_path}/{folder}/own.py:fails")
    assert said == f"{tmp_path}/{folder}/own.py:fails.fails raised ValueError at own.py, line 1: no pump."


def test_what_is_a_reference_and_what_it_is_called():
    for name in ("a.py:X", "dir/a.py:X", "a.b:C", "a:b", "a.py", "/x y/a.py:X.y"):
        assert is_reference(name)
    for name in ("Pendulum-v1", "brax/ant", "lqr", "pixels/Pendulum-v1", "Tank@12", "a-b:C", "a:"):
        assert not is_reference(name)
    labels = {
        "a/my_env.py:Tank": "Tank",
        "/me@home/my_env.py:Tank": "Tank",
        "my_algo.py:ALGORITHM": "my_algo",
        "pkg.algos:ALGORITHM": "algos",
    }
    for name, short in (labels | {"Drift@1f": "Drift", "brax/ant": "brax/ant", "ddpg": "ddpg"}).items():
        assert label(name) == short


def test_the_folder_of_a_file_may_have_an_at_sign(tmp_path):
    """As an object of another process has in its name."""
    (tmp_path / "me@home").mkdir()
    (tmp_path / "me@home" / "mine.py").write_text("class Mine:\n    pass\n")
    assert type(named.name_env(f"{tmp_path}/me@home/mine.py:Mine").value).__name__ == "Mine"
    assert named.name_env(f"{tmp_path}/me@home/mine.py:Mine").code is not None


def test_a_changed_file_is_read_anew_and_an_unchanged_one_is_not(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("class A: x = 1\n")
    first, again = load(f"{file}:A")[0], load(f"{file}:A")[0]
    file.write_text("class A: x = 2\n")
    assert first is again
    assert (first.x, load(f"{file}:A")[0].x) == (1, 2)


def test_what_is_in_memory_can_be_saved_and_exported(tmp_path):
    """As if it had been trained in the folder: the same learner, the same returns, and it can be resumed."""
    env, run = make_env("lqr", episode_length=9), RUN.replace(env="lqr", evaluations=2, out=tmp_path / "saved")
    agent = ddpg(CONFIG, env.spec)
    state, history = jax.jit(lambda key: train(key, env, agent, ROOM, steps=60, chunks=2))(jax.random.key(0))
    saved = save_run(state, "ddpg", CONFIG, ROOM, run, history)
    whole = run_experiment("ddpg", CONFIG, ROOM, run.replace(out=tmp_path / "whole"), log=None)
    assert saved.table == whole.table
    (step,) = saved_steps(saved.folder)
    shapes = jax.eval_shape(jax.vmap(agent.init), jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1)))
    learners = [load_learner(folder, step, shapes) for folder in (saved.folder, whole.folder)]
    jax.tree.map(np.testing.assert_array_equal, *learners)
    rows = [json.loads(line) for line in (saved.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [50, 60]
    assert rows[-1]["eval_return"] == [saved.table[0]["mean"]]
    resumed = [ddpg_jax.resume(folder, steps=80, log=None).table for folder in (saved.folder, whole.folder)]
    assert resumed[0] == resumed[1]
    policy, obs = make_policy(agent, state.learner, env.spec, CONFIG), np.ones((3, 2), np.float32)
    exported = ddpg_jax.export(policy, "npz", tmp_path / "p.npz")
    from ddpg_jax.deploy.export.loader import load as load_npz

    np.testing.assert_allclose(load_npz(exported)(obs), policy(obs), atol=1e-5)
    assert "out must be given" in refusal(ddpg_jax.export, policy, "npz")
    wrong = DDPGConfig(hidden=(5,))
    assert "state must be what `train` makes with these settings" in refusal(
        save_run, state, "ddpg", wrong, ROOM, run.replace(out=tmp_path / "other")
    )
    assert not (tmp_path / "other").exists()
    assert "history must have 2 values" in refusal(
        save_run, state, "ddpg", CONFIG, ROOM, run.replace(out=tmp_path / "other"), {"x": np.zeros(3)}
    )


def test_the_checkpoint_that_one_means(tmp_path):
    """Whichever of three: by name, or by its steps."""
    run = RUN.replace(env="lqr", evaluations=3, steps=100, checkpoint_steps=1, keep_checkpoints=9, out=tmp_path / "run")
    folder = run_experiment("ddpg", CONFIG, LOOP, run, log=None).folder
    steps, obs = saved_steps(folder), np.ones(2, np.float32)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    best = max((row["eval_return"][0], row["steps"]) for row in rows if row["steps"] in steps)[1]
    actions = {step: load_policy(folder, checkpoint=step)(obs).item() for step in steps}
    assert len(set(actions.values())) == len(steps) == 3
    assert load_policy(folder)(obs).item() == load_policy(folder, checkpoint="latest")(obs).item() == actions[100]
    assert load_policy(folder, checkpoint="best")(obs).item() == actions[best]
    assert load_policy(folder, checkpoint=str(steps[0]))(obs).item() == actions[steps[0]]
    assert "(60, 80, 100), not 'first'" in refusal(load_policy, folder, checkpoint="first")
    assert load_policy(folder, checkpoint="6,0")(obs).item() == actions[60]  # as messages group digits
    assert "not '9999" in refusal(load_policy, folder, checkpoint="9" * 5_000)
    damaged = next(step for step in steps if step != best)  # and another one that cannot be read is not the best
    (folder / "checkpoints" / str(damaged) / "metadata" / "metadata").write_text("{")
    with pytest.warns(UserWarning, match="is damaged .* So it is not known whether that one is the best"):
        assert load_policy(folder, checkpoint="best")(obs).item() == actions[best]


@pytest.mark.parametrize("numbers", [{"episodes": "10"}, {"episodes": 0}, {"episodes": 1, "seed": -1}])
def test_numbers_of_an_evaluation_that_cannot_be_used_are_refused(numbers):
    assert "must be from" in refusal(evaluate_run, "none", **numbers)


def test_ids_of_ours_are_known():
    assert suites.is_own_id("lqr")
    assert not suites.is_own_id("tank")


def test_a_trusted_file_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "_file", lambda: Path(tmp_path / "file" / "trusted"))
    (tmp_path / "file").write_text("")
    (tmp_path / "a.py").write_text("X = 1")
    trust.remember("a.py:X", load(f"{tmp_path}/a.py:X")[1])
    atomic_write(tmp_path / "b.py", b"")
