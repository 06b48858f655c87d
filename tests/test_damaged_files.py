"""Files of a run or a sweep, edited or cut anywhere: one sentence, or a run that is what its checkpoint says."""

import copy
import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trained import make_run

from ddpg_jax import SettingError
from ddpg_jax.cli.main import main
from ddpg_jax.deploy.policy import load_learners
from ddpg_jax.results.history import read_histories, read_history
from ddpg_jax.runs.checkpoint import load_learner, read_metadata, saved_steps
from ddpg_jax.runs.evaluation import best_seed, read_evaluation
from ddpg_jax.runs.run_folder import FREE
from ddpg_jax.runs.stored_run import read_run

ROW = {"steps": 10, "updates": 5, "seconds": 0.5, "eval_return": [1.0, None], "eval_length": [7.0, 8.0]}
ROWS = [ROW, ROW | {"steps": 20, "updates": 15, "compile_seconds": 0.25, "eval_return": [2.0, 3.5]}]  # old, new
TRIALS = [
    {"trial": trial, "values": {"tau": tau, "batch_size": 32}} | row
    for row in ROWS
    for trial, tau in ((0, 0.01), (1, 0.5))
]
FILES = ("config.json", "metrics.jsonl", "evaluation.json", "checkpoints/7/metadata/metadata", "curves.jsonl")
LOADED = (FILES[0], FILES[3])  # on which the policies depend
NASTY = [2**31, 10**400, -1, 0, 1e39, -0.5, "", "²", "\ud800", "nan", "/tmp", "a[/b]", [], {}, [[]], None, True]
JSON = st.recursive(
    st.sampled_from(NASTY) | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run with a checkpoint, and a sweep."""
    place = tmp_path_factory.mktemp("files")
    run = make_run(place / "run", "ddpg")
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    sweep = place / "sweep"
    sweep.mkdir()
    contents = json.loads((run / "config.json").read_text()) | {"kind": "sweep"}
    (sweep / "config.json").write_text(json.dumps(contents))
    (sweep / "curves.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TRIALS))
    return run, sweep


def places(value, path=()):
    """The path of every value in a JSON document, itself included."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def edited(document, path, change, new):
    """The document with the value at a path replaced, removed, or joined by another one."""
    if not path:
        return new
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if change == "remove":
        del at[path[-1]]
    elif change == "add" and isinstance(at, dict):
        at["another"] = new
    else:
        at[path[-1]] = new
    return document


def damage(data, text, lines):
    """Draws another text for a file: cut anywhere, or with any JSON value at any place."""
    if data.draw(st.booleans(), "cut"):
        return text[: data.draw(st.integers(0, len(text) - 1), "bytes")]
    documents = [json.loads(line) for line in text.splitlines()] if lines else [json.loads(text)]
    number = data.draw(st.integers(0, len(documents) - 1), "line")
    path = data.draw(st.sampled_from(list(places(documents[number]))), "path")
    change = data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]), "change")
    documents[number] = edited(documents[number], path, change, data.draw(JSON, "value"))
    return "\n".join(map(json.dumps, documents)) + "\n" * lines


def outcome(read, *args):
    """What a reader returns, or the sentence with which it refuses."""
    refusal = None
    try:
        return read(*args), None
    except SettingError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) == 1
    refusal.encode("utf-8")  # it can be printed
    return None, refusal


def without_free(contents):
    return contents | {"run": {name: value for name, value in contents["run"].items() if name not in FREE}}


def check_run(folder, original, file):
    """Whatever is read from the folder now is usable, and agrees with the checkpoint."""
    run, refusal = outcome(read_run, folder)
    if refusal:
        assert "config.json" in refusal
        return
    learners, refusal = outcome(load_learners, folder) if file in LOADED else (None, None)
    if learners:
        now, before = without_free(run.contents), without_free(original)
        names = ("algorithm", "run", "loop", "config", "spec")
        assert [now[name] for name in names] == [before[name] for name in names]
    evaluation, refused = outcome(read_evaluation, run)
    if evaluation and evaluation.best_seed is not None:
        means = {row["seed"]: row["mean"] for row in evaluation.rows}
        assert means[evaluation.best_seed] == max(mean for mean in means.values() if mean is not None)
        assert best_seed(run) == evaluation.best_seed
    history, refused_rows = outcome(read_history, folder)
    for row in history.rows if history else ():
        assert all(isinstance(row[name], int) for name in ("steps", "updates"))
        lists = [value for value in row.values() if isinstance(value, list)]
        assert all(len(values) == run.run.seeds for values in lists)
        assert all(value is None or math.isfinite(value) for values in lists for value in values)
    for said in filter(None, (refusal, refused, refused_rows)):
        assert file.split("/")[0] in said or "config.json" in said


def try_damage(folders, file, data):
    run, sweep = folders
    folder = sweep if file == "curves.jsonl" else run
    path = folder / file
    original = json.loads((folder / "config.json").read_text())
    text = path.read_text()
    try:
        path.write_text(damage(data, text, file.endswith(".jsonl")))
        if folder is run:
            check_run(folder, original, file)
        else:
            histories, refusal = outcome(read_histories, folder)
            assert histories or "curves.jsonl" in refusal or "no evaluation" in refusal
    finally:
        path.write_text(text)


@pytest.mark.quick_twin("harmless", "harmless_many_times")
@pytest.mark.parametrize("file", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_in_one_sentence_or_harmless(folders, file, data):
    try_damage(folders, file, data)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_in_one_sentence_or_harmless_many_times(folders, file, data):
    try_damage(folders, file, data)


CONFIG_FAULTS = {
    "format must be 2, the format that this version of ddpg_jax reads, not 3.": ("format", 3),
    "format is missing.": ("format", None),
    "run must be an object, not [].": ("run", []),
    "run.seeds must be a whole number from -2,147,483,647 to 2,147,483,647, not '2'.": ("run.seeds", "2"),
    "run.seeds must be at least 1, not 0.": ("run.seeds", 0),
    "run.out must be a path, not 7.": ("run.out", 7),
    "loop.matmul_precision must be one of float32, tensorfloat32, bfloat16, not 'float8'.": (
        "loop.matmul_precision",
        "float8",
    ),
    "config.tau is missing.": ("config.tau", None),
    "config.hidden.1 must be a whole number from 0 to 2,147,483,647, not 2.5.": ("config.hidden", [4, 2.5]),
    "spec.obs_dtype must be one of bool, ": ("spec.obs_dtype", "object"),
    "spec.action_low must be an array of numbers, not [[0.0], [1.0, 2.0]].": ("spec.action_low", [[0.0], [1.0, 2.0]]),
    "versions.jax must be a string, not 7.": ("versions", {"jax": 7}),
}


@pytest.mark.parametrize("sentence", CONFIG_FAULTS)
def test_the_sentence_names_file_field_value_and_what_is_allowed(folders, sentence, tmp_path, capsys):
    """By the command line: exit code 2 and nothing else."""
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    place, value = CONFIG_FAULTS[sentence]
    contents = json.loads((folder / "config.json").read_text())
    *groups, name = place.split(".")
    at = contents[groups[0]] if groups else contents
    if value is None:
        del at[name]
    else:
        at[name] = value
    (folder / "config.json").write_text(json.dumps(contents))
    assert main(["evaluate", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {folder / 'config.json'}: {sentence}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[" * 100_000, "NaN", '{"a": 1, "a": 2}', "{} {}"])
def test_what_is_no_json_is_damaged(folders, text, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=r"config\.json is damaged \("):
        read_run(folder)


def test_a_name_that_is_no_number_is_no_checkpoint(folders, tmp_path):
    """Neither a superscript two, which is a digit to Python, nor anything else."""
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    for name in ("²", "7.orbax-checkpoint-tmp", "x"):
        (folder / "checkpoints" / name).mkdir()
    assert saved_steps(folder) == [7]


def test_another_environment_beside_the_checkpoint_is_refused(folders, tmp_path):
    """Even where config.json agrees with itself."""
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    contents = json.loads((folder / "config.json").read_text())
    contents["run"]["env"] = contents["spec"]["name"] = "lqr"
    (folder / "config.json").write_text(json.dumps(contents))
    with pytest.raises(SettingError, match=r"must have the settings of its checkpoint, and env is 'lqr' and was 'toy'"):
        load_learners(folder)


def test_the_learner_is_read_as_it_was_written(folders):
    """The undamaged folder is whole, so that the tests above can fail."""
    _, learners, run = load_learners(folders[0])
    again = load_learner(folders[0], 7, learners)
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(*map(_leaves, (learners, again)), strict=True))
    assert read_metadata(folders[0], 7).config == run.contents
    assert [len(history.rows) for history in read_histories(folders[1])] == [2, 2]
    assert read_evaluation(run).best_seed == 4


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)
