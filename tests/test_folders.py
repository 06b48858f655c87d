"""A run takes the place of an earlier one whole or not at all, and writes nowhere but into its own folder."""

import os
import shutil
import signal

import pytest
from forking import forking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import TINY, slow, slow_but_for
from trained import make_run

from ddpg_jax import SettingError
from ddpg_jax.cli.main import main
from ddpg_jax.runs import folders
from ddpg_jax.runs.contents import LOCK, foreign_entry, refuse_links_out
from ddpg_jax.runs.files import atomic_write, new_output, real_path, temporary_name
from ddpg_jax.runs.folders import new_run_folder, recover
from ddpg_jax.runs.signals import Stop, undone_at_once


@pytest.fixture
def run(tmp_path):
    """A run folder in a folder of its own."""
    return make_run(tmp_path / "place" / "run", "ddpg")


def everything(folder):
    """Path -> contents of all files below a folder, links as what they point to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and path.name != LOCK:
            found[name] = path.read_bytes()
    return found


def begin_anew(folder):
    """What a run writes before it has learned anything."""
    (folder / "config.json").write_text("{}")
    (folder / "metrics.jsonl").write_text('{"steps": 0}\n')


def end(folder, write, error, overwrite=True):
    """Begins a run in this folder, which writes something and then ends with an error."""
    with new_run_folder(folder, overwrite):
        write(folder)
        raise error


def test_what_a_run_writes_is_its_own(run):
    for name in ("seed3", "mean"):
        (run / "tensorboard" / name).mkdir(parents=True)
    for name in (
        "tensorboard/seed3/events.out.tfevents.17.host",
        "tensorboard/mean/events.out.tfevents.17.host",
        "policy.onnx",
        ".policy.01234567.tmp.onnx",
        LOCK,
    ):
        (run / name).touch()
    (run / "checkpoints" / "9.orbax-checkpoint-tmp" / "learner.orbax-checkpoint-tmp").mkdir(parents=True)
    (run / "checkpoints-damaged" / "7-1" / "loop" / "d").mkdir(parents=True)
    assert foreign_entry(run) is None


FOREIGN = ["thesis.tex", "checkpoints/notes.txt", "checkpoints/7/plot.py", "checkpoints/7/learner/thesis.tex"]
FOREIGN += ["tensorboard/seed3/thesis.tex", "tensorboard/notes", "best/thesis.tex", "best/best/config.json", "plans/"]
FOREIGN += [".policy.new.npz", "curve.new.png", "config.json.bak", "checkpoints/7/learner/d/thesis.tex", "data/x.npz"]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_named_and_nothing_is_deleted(run, name, capsys):
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if name.endswith("/") else path.write_text("years of work")
    before = everything(run)
    assert main(["train", "ddpg", *TINY.split(), "--steps", "80", "--out", str(run), "--overwrite"]) == 2
    said = capsys.readouterr().err
    assert said == f"error: out must hold nothing but a run to be replaced, and {run} also holds {name.rstrip('/')}.\n"
    assert everything(run) == before
    assert path.exists()


@pytest.mark.parametrize("contents", ["{}", "[]", '{"run": {}, "loop": {}, "config": {}, "spec": {}}', "nothing"])
def test_some_config_json_does_not_make_a_folder_ours(run, contents, capsys):
    (run / "config.json").write_text(contents)
    before = everything(run)
    assert main(["train", "ddpg", *TINY.split(), "--steps", "80", "--out", str(run), "--overwrite"]) == 2
    assert "neither" in capsys.readouterr().err
    assert everything(run) == before


@pytest.mark.parametrize("linked", ["checkpoints", "tensorboard", "best", "curve.png", "checkpoints/7"])
def test_a_link_is_removed_as_a_link(run, linked, tmp_path):
    elsewhere, link = tmp_path / "elsewhere", run / linked
    if link.exists():
        shutil.move(link, elsewhere)
    elif link.suffix:
        elsewhere.write_text("a picture of somebody's")
    else:
        elsewhere.mkdir()
        (elsewhere / "config.json").write_text("somebody's")
    link.symlink_to(elsewhere)
    kept = everything(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()
    with new_run_folder(run, overwrite=True):
        begin_anew(run)
        (run / "progress.json").touch()
    assert sorted(path.name for path in run.iterdir()) == [LOCK, "config.json", "metrics.jsonl", "progress.json"]
    assert (everything(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()) == kept
    assert os.listdir(run.parent) == ["run"]


def test_a_run_that_fails_before_it_can_be_resumed_leaves_the_one_before_it(run):
    before = everything(run)
    for error in (KeyboardInterrupt, SettingError):
        with pytest.raises(error):
            end(run, begin_anew, error)
        assert everything(run) == before
        assert os.listdir(run.parent) == ["run"]


def test_a_run_that_fails_later_stays_and_the_one_before_it_goes(run):
    def save(folder):
        begin_anew(folder)
        (folder / "checkpoints" / "9").mkdir(parents=True)

    with pytest.raises(KeyboardInterrupt):
        end(run, save, KeyboardInterrupt)
    assert (run / "config.json").read_text() == "{}"
    assert os.listdir(run.parent) == ["run"]


def test_the_run_before_goes_as_soon_as_the_new_one_can_be_resumed(run):
    with new_run_folder(run, overwrite=True):
        folders.delete_replaced(run)
        assert len(os.listdir(run.parent)) == 2
        (run / "checkpoints" / "9").mkdir(parents=True)
        folders.delete_replaced(run)
        assert os.listdir(run.parent) == ["run"]


def test_a_new_folder_is_removed_if_nothing_comes_of_it(tmp_path):
    def learn(folder):
        (folder / "metrics.jsonl").write_text('{"steps": 0}\n{"steps": 9}\n')

    folder = tmp_path / "many" / "folders" / "run"
    with pytest.raises(KeyboardInterrupt):
        end(folder, begin_anew, KeyboardInterrupt, overwrite=False)
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyboardInterrupt):
        end(folder, learn, KeyboardInterrupt, overwrite=False)
    assert (folder / "metrics.jsonl").exists()


# Where a process is killed while it replaces a run: before, between and after the moves, and once it has a checkpoint.
KILLED = """
import os, sys
from pathlib import Path
from ddpg_jax.runs import folders
run, where = Path(sys.argv[1]), sys.argv[2]
def die(*_, **__):
    os._exit(9)
if where == "while the old one is moved":
    folders._move_aside = die
if where == "before the new folder":
    before = folders._move_aside
    folders._move_aside = lambda folder: (before(folder), die())
with folders.new_run_folder(run, overwrite=True):
    (run / "config.json").write_text("{}")
    if where == "before a checkpoint":
        die()
    (run / "checkpoints" / "9").mkdir(parents=True)
    if where == "after a checkpoint":
        die()
    folders.delete_replaced(run)
    die()
"""
PLACES = ["while the old one is moved", "before the new folder", "before a checkpoint", "after a checkpoint", "later"]


@pytest.fixture(scope="module")
def process():
    """Runs code as a process of its own, but for the time that imports take."""
    with forking("ddpg_jax.runs.folders", "ddpg_jax.runs.signals", "ddpg_jax.runs.files") as run_code:
        yield run_code


@pytest.mark.parametrize("where", slow_but_for(PLACES, "before a checkpoint"))
def test_wherever_a_process_is_killed_one_of_the_two_runs_is_whole(run, where, process):
    before, lines = everything(run), []
    killed = process(KILLED, str(run), where)
    assert killed.returncode == 9, killed.stderr
    recover(run, lines.append)
    if ("checkpoint" in where and "after" in where) or where == "later":
        assert (run / "config.json").read_text() == "{}"
        assert not lines
    else:
        assert everything(run) == before
        assert len(lines) == (where != PLACES[0])
    assert os.listdir(run.parent) == ["run"]


def test_a_folder_that_is_linked_to_is_replaced_where_it_is(run, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(run)
    with new_run_folder(link, overwrite=True):
        begin_anew(link)
        (link / "progress.json").touch()
    assert link.is_symlink()
    assert (run / "config.json").read_text() == "{}"


def test_runs_whose_long_names_begin_alike_are_not_confused(run):
    """Only as much of a name as a file system leaves room for is in that of a run moved aside."""
    one, other = (run.with_name("x" * 150 + end) for end in "ab")
    shutil.copytree(run, one)
    folders._move_aside(one)
    recover(other)
    assert not other.exists()
    recover(one)
    assert everything(one) == everything(run)


def test_the_current_folder_is_not_moved_away(run, monkeypatch):
    monkeypatch.chdir(run)
    before = everything(run)
    with pytest.raises(SettingError, match="must not hold the current folder"), new_run_folder(run, overwrite=True):
        pass
    assert everything(run) == before


def test_a_run_ends_when_its_folder_is_deleted_and_leaves_nothing(run):
    identity = folders.identify(run)
    folders.check_present(run, identity)
    shutil.rmtree(run)
    (run / "checkpoints" / "9").mkdir(parents=True)  # which Orbax may have written since
    with pytest.raises(SettingError, match=r"was deleted or moved; the run ends here\.$"):
        folders.check_present(run, identity)
    assert not run.exists()


def test_checkpoints_outlive_a_config_that_is_deleted_alone(run):
    """Each of them has a copy of it, so the run is not lost."""
    identity = folders.identify(run)
    (run / "config.json").unlink()
    (run / "metrics.jsonl").touch()
    before = everything(run)
    with pytest.raises(SettingError, match="was deleted, of which each checkpoint there has a copy"):
        folders.check_present(run, identity)
    assert everything(run) == before
    (run / "metrics.jsonl").unlink()  # as in a folder that Orbax has made anew with a whole checkpoint
    with pytest.raises(SettingError, match="was deleted or moved"):
        folders.check_present(run, identity)
    assert not run.exists()


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_run_that_took_the_place_of_a_deleted_one_is_not_touched(run, has_begun):
    """Whether it can be resumed already or not."""
    before = {}

    def lose(folder):
        identity = folders.identify(folder)
        folder.rename(folder.with_name("away"))
        if has_begun:
            make_run(folder, "td3")
        else:
            folder.mkdir()
            begin_anew(folder)
        before.update(everything(folder))
        folders.check_present(folder, identity)

    with pytest.raises(SettingError, match="was deleted or moved"):
        end(run, lose, None)
    assert everything(run) == before


LINKS = ["checkpoints", "metrics.jsonl", "tensorboard", "tensorboard/seed3", "checkpoints/12", "evaluation.json"]


@pytest.mark.parametrize("name", LINKS)
def test_resume_writes_through_no_link_that_leads_out_of_the_folder(run, name, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = run / name
    link.parent.mkdir(exist_ok=True)
    if link.is_dir():
        shutil.copytree(link, elsewhere, dirs_exist_ok=True)
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere)
    before = everything(elsewhere)
    with pytest.raises(SettingError, match=f"must hold no link that leads out of it, and {name} leads to"):
        refuse_links_out(run)
    assert everything(elsewhere) == before


def test_links_within_the_folder_are_harmless(run):
    (run / "wandb" / "run-1").mkdir(parents=True)
    (run / "wandb" / "latest-run").symlink_to("run-1")
    refuse_links_out(run)
    assert foreign_entry(run) is None


def test_a_file_is_written_under_a_name_that_nobody_has(tmp_path):
    """A file of the user's with a likely name stays, and so does what a link points to."""
    (tmp_path / "p.new.png").write_text("mine")
    (tmp_path / "target").write_text("mine, too")
    (tmp_path / "p.png").symlink_to(tmp_path / "target")
    with pytest.raises(SettingError, match="already exists"):
        new_output(tmp_path / "p.png", (".png",), overwrite=False)
    atomic_write(tmp_path / "p.png", b"picture")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "p.new.png": b"mine",
        "target": b"mine, too",
        "p.png": b"picture",
    }
    assert len({temporary_name(tmp_path / "p.png") for _ in range(100)}) == 100
    assert (tmp_path / "p.png").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_dangling_link_is_a_file_that_exists(tmp_path):
    (tmp_path / "p.npz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingError, match="already exists"):
        new_output(tmp_path / "p.npz", (), overwrite=False)


ENDING = """
import os, signal, sys, time
from pathlib import Path
from ddpg_jax.runs import signals
from ddpg_jax.runs.files import atomic_path
words = lambda text: print(text, file=sys.stderr, flush=True)
with signals.Stop(words) as stop, atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    if sys.argv[2] == "at the end of a chunk":
        signals.end_at_chunk()
    os.kill(os.getpid(), int(sys.argv[3]))
    time.sleep(0.5)
    assert stop()
sys.exit(75)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, *slow(signal.SIGINT, signal.SIGHUP)])
@pytest.mark.parametrize("when", ["at once", "at the end of a chunk"])
def test_a_signal_ends_a_process_at_once_until_there_is_something_to_save(tmp_path, when, number, process):
    out = tmp_path / "out.png"
    ended = process(ENDING, str(out), when, str(int(number)))
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    if when == "at once":
        assert ended.returncode == 128 + number
        assert os.listdir(tmp_path) == []
    else:
        assert ended.returncode == 75
        assert os.listdir(tmp_path) == ["out.png"]


def test_a_signal_says_when_the_chunk_will_end(monkeypatch):
    """If it takes as long as the one before; the first one does not say."""
    said = []
    for ends in ((100.0,), (100.0, 140.0), (60.0, 100.0, 140.0), (100.0, 105.0)):
        stop = Stop(said.append)
        stop.at_once(None)
        for end in ends:
            stop.chunk_ended(end)
        monkeypatch.setattr("ddpg_jax.runs.signals.time.monotonic", lambda: 150.0)
        stop._handle(signal.SIGTERM)
        assert stop()
    times = ("chunk,", "chunk in about 30 s,", "chunk in about 30 s,", "chunk in about 1 s,")
    assert all(
        sentence.startswith(f"stopping at the end of this {time}") for sentence, time in zip(said, times, strict=True)
    )


def test_undoing_is_for_the_block_alone():
    undone = []
    with undone_at_once(lambda: undone.append(1)):
        pass
    assert undone == []


NAMES = ["config.json", "metrics.jsonl", "evaluation.json", "curve.png", "policy.npz", "checkpoints", "tensorboard"]
NAMES += ["checkpoints/9", "checkpoints-damaged", "wandb", "wandb/token", "best", LOCK, "thesis.tex", "progress.json"]
KINDS = ["file", "folder", "link to a file outside", "link to a folder outside", "dangling", "link to the inside"]


def lay_out(run, outside, name, kind):
    """Puts something of a kind in the place of a file or folder of a run."""
    path = run / name
    if path.parent.is_symlink() or (path.parent != run and not path.parent.is_dir()):
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    target = {"link to a file outside": outside / "file", "link to a folder outside": outside / "folder"}
    target |= {"dangling": outside / "nothing", "link to the inside": run / "metrics.jsonl"}
    if kind in target:
        path.symlink_to(target[kind])
    elif kind == "file":
        path.write_text("a file")
    else:
        path.mkdir()


class Reached(Exception):
    """What would train has been reached."""


def try_layout(tmp_path, layout, words):
    """Runs a command on a run folder in which things were replaced by links and files; nothing outside changes."""
    place = tmp_path / "layout"
    shutil.rmtree(place, ignore_errors=True)
    run, outside = place / "run", place / "outside"
    shutil.copytree(tmp_path / "tiny", run)
    (outside / "folder").mkdir(parents=True)
    for file in (outside / "file", outside / "folder" / "config.json", outside / "folder" / "mine"):
        file.write_text("somebody's")
    for name, kind in layout.items():
        lay_out(run, outside, name, kind)
    before, inside, foreign = everything(outside), everything(run), foreign_entry(run)
    leads_out = any(path.is_symlink() and not real_path(path).is_relative_to(run) for path in run.rglob("*"))
    try:
        code = main([word.format(run=run, place=place) for word in words.split()])
    except Reached:
        assert words.startswith("train") or not leads_out
        assert words.startswith("resume") or foreign is None
        code = 0
    assert code in (0, 2)
    assert everything(outside) == before
    if foreign and words.startswith("train"):
        assert everything(run) == inside


WORDS = ["train ddpg --env lqr --steps 90 --warmup-steps 40 --batch-size 4 --out {run} --overwrite"]
WORDS += ["resume {run} --steps 200", "export {run} --format npz --overwrite", "plot {run} --out {place}/f.svg"]


@pytest.fixture
def tiny(tiny_run, tmp_path, monkeypatch):
    """A copy of a finished run, and commands that end where they would train or play."""

    def reach(*args, **options):
        raise Reached

    shutil.copytree(tiny_run, tmp_path / "tiny")
    monkeypatch.setattr("ddpg_jax.runs.plan.Job.keys", reach)
    monkeypatch.setattr("ddpg_jax.runs.resume.load_state", reach)
    return tmp_path


LAYOUTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(KINDS), min_size=1, max_size=4)
ANYWHERE = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.quick_twin("folder", "folder_many_times")
@settings(max_examples=15, **ANYWHERE)
@given(layout=LAYOUTS, words=st.sampled_from(WORDS[:3]))
def test_no_layout_of_links_leads_out_of_the_folder(tiny, layout, words):
    try_layout(tiny, layout, words)


@pytest.mark.slow
@settings(max_examples=100, **ANYWHERE)
@given(layout=LAYOUTS, words=st.sampled_from(WORDS))
def test_no_layout_of_links_leads_out_of_the_folder_many_times(tiny, layout, words):
    try_layout(tiny, layout, words)
