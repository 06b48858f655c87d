"""`report`: what its page contains, that it is well-formed HTML and self-contained."""

import importlib.machinery
import json
import re
import sys
import types
from html.parser import HTMLParser

import pytest
from test_plot import FOUR, run

from ddpg_jax import SettingError, report
from ddpg_jax.cli.main import main
from ddpg_jax.results.compare import compare
from ddpg_jax.results.history import read_history
from ddpg_jax.results.outputs import default_output
from ddpg_jax.results.render import render
from ddpg_jax.results.report import train_command
from ddpg_jax.runs import signals
from ddpg_jax.runs.contents import foreign_entry

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that every element is closed, and collects tags, ids and addresses."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.addresses = [], [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value for name, value in attrs if name in {"src", "href", "xlink:href", "data"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_self_contained(tmp_path):
    folder = run(tmp_path / "a", FOUR, tau=0.125)
    rest = {"std": 0.0, "min": 0.0, "max": 1.0, "length": 7.0}
    means = [{"seed": seed, "mean": value} | rest for seed, value in enumerate((3.0, 5.0, 6.0, -7.0))]
    (folder / "evaluation.json").write_text(json.dumps({"episodes": 2, "best_seed": 2, "seeds": means}))
    path = report(folder, pictures=False)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert path == tmp_path / "report-a.html"
    assert not re.search(r"https?://", text)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert page.tags.count("svg") == 2
    assert "4.00 (" in text  # the mean of 3 and 5
    assert "<td>tau</td><td>0.125</td><td>0.005</td>" in text
    assert "currentColor" in text
    assert "#010203" not in text


def test_unfinished_runs_say_so(tmp_path):
    folder = run(tmp_path / "a", [[1.0, 2.0], [3.0, None]], steps=(10, 20))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"steps": 30, "upd')
    text = report(folder, tmp_path / "r.html", pictures=False).read_text()
    assert "evaluation.json is missing" in text
    assert "20 of 100,000 steps" in text
    assert "Seed 1 diverged by step 20." in text
    (folder / "metrics.jsonl").unlink()
    Page(text := report(folder, tmp_path / "r.html", pictures=False, overwrite=True).read_text())
    assert "there is no curve" in text


def evaluated(folder, means, steps=100_000, num_envs=1):
    """The run folder with an evaluation of its seeds and settings of how long it was to be."""
    rest = {"std": 0.0, "min": 0.0, "max": 1.0, "length": 7.0}
    rows = [{"seed": seed, "mean": mean} | rest for seed, mean in enumerate(means)]
    best = max(range(len(means)), key=means.__getitem__)
    (folder / "evaluation.json").write_text(json.dumps({"episodes": 2, "best_seed": best, "seeds": rows}))
    contents = json.loads((folder / "config.json").read_text())
    contents["run"]["steps"], contents["loop"]["num_envs"] = steps, num_envs
    (folder / "config.json").write_text(json.dumps(contents))
    return folder


def test_a_run_that_was_stopped_is_not_finished(tmp_path):
    """Though it has an evaluation.json, too; its end is that of whole steps of all environments."""
    stopped = evaluated(run(tmp_path / "stopped", FOUR), (1.0, 2.0, 3.0, 4.0))
    text = report(stopped, pictures=False).read_text()
    assert (
        "It is not finished: it ended before its last step, stopped or because seeds diverged, or is running again."
        in text
    )
    assert "<h2>Evaluation</h2>" in text
    assert "The run was not trained to its end" in text
    ended = evaluated(run(tmp_path / "ended", FOUR), (1.0, 2.0, 3.0, 4.0), steps=25, num_envs=10)
    text = report(ended, pictures=False).read_text()
    assert "30 of 30 steps" in text
    assert "<h2>Final evaluation</h2>" in text
    assert "not finished" not in text
    assert "not trained to its end" not in text


def test_one_seed_has_no_interval(tmp_path):
    text = report(evaluated(run(tmp_path / "a", [[1.0]], steps=(10,)), [1.0]), pictures=False).read_text()
    assert "There is one seed, so there is no interval." in text
    assert "95%" not in text


def test_a_path_with_an_at_sign_is_no_object(tmp_path):
    """A command line has the one and not the other."""
    code = {"env": {"file": "/home/me@work/my_env.py", "sha256": 64 * "a"}}
    for name, env, more in (("path", "/home/me@work/my_env.py:Tank", {"code": code}), ("object", "Tank@1a2b3c4d", {})):
        folder = run(tmp_path / name, FOUR, env=env)
        contents = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(contents | more))
        text = report(folder, pictures=False).read_text()
        assert ("--env /home/me@work/my_env.py:Tank" in text) == (name == "path")
        assert ("It was started in Python" in text) == (name == "object")


def test_the_root_has_no_place_beside_it(monkeypatch):
    monkeypatch.chdir("/")
    for folder in ("/", "."):
        with pytest.raises(SettingError, match="out must be given for a run in /, which nothing can be written beside"):
            report(folder)
        with pytest.raises(SettingError, match="out must be given for a run in /, which nothing can be written beside"):
            render(folder)


def test_a_folder_may_have_a_name_that_is_no_utf8(tmp_path, capsys):
    run(tmp_path / "a\udcff", FOUR)
    assert main(["report", str(tmp_path / "a\udcff"), "--no-pictures"]) == 0
    assert r"report-a\udcff.html" in capsys.readouterr().out
    assert r"a\udcff." in (tmp_path / "report-a\udcff.html").read_text(encoding="utf-8")


def test_dollar_signs_in_the_name_of_a_quantity_are_no_formula(tmp_path):
    folder = run(tmp_path / "a", FOUR)
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().replace("critic/q", r"$\\tank$"))
    assert Page(report(folder, pictures=False).read_text()).tags.count("svg") == 2


@pytest.mark.parametrize("write", [report, lambda folder, out: render(folder, out)], ids=["report", "render"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(write, tmp_path, monkeypatch):
    monkeypatch.setattr("ddpg_jax.results.report.policy_animation", lambda *args: pytest.fail("rendered"))
    monkeypatch.setattr("ddpg_jax.results.render.load_seed", lambda *args: pytest.fail("rendered"))
    folder = run(tmp_path / "a", FOUR)
    (tmp_path / "file").write_text("mine")
    suffix = "html" if write is report else "gif"
    with pytest.raises(SettingError, match=r"out must be a file that can be written, and .*Not a directory"):
        write(folder, tmp_path / "file" / "new" / f"a.{suffix}")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_checkpoint_is_marked(tmp_path):
    folder = run(tmp_path / "a", FOUR)
    (folder / "checkpoints" / "7" / "metadata").mkdir(parents=True)
    (folder / "checkpoints" / "7" / "metadata" / "metadata").write_text("{}")
    assert "<td>7 (damaged)</td><td></td><td></td><td></td>" in report(folder, pictures=False).read_text()


def test_a_quantity_that_its_seeds_do_not_share_yet_is_left_out(tmp_path):
    """As the return of episodes in training is, where one seed's first ended after another's last."""
    folder = run(tmp_path / "a", [[1.0, 2.0], [3.0, 4.0]], steps=(10, 20))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row, values in zip(rows, ([5.0, None], [None, 6.0]), strict=True):
        row["episode_return"] = values
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert Page(report(folder, pictures=False).read_text()).tags.count("svg") == 2


def test_text_of_a_run_cannot_be_markup(tmp_path):
    markup = "<script>alert('x')</script>"
    folder = run(tmp_path / "a", FOUR, env=markup)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"device": markup, "versions": {markup: markup}}))
    metrics = (folder / "metrics.jsonl").read_text().replace("critic/q", "<script>q")
    (folder / "metrics.jsonl").write_text(metrics)
    text = report(folder, pictures=False).read_text()
    assert "script" not in Page(text).tags
    assert text.count("&lt;script&gt;alert") >= 4


def test_the_command_has_the_settings_that_are_not_defaults(tmp_path):
    folder = run(tmp_path / "a", FOUR, env="an env", tau=0.5, hidden=[4, 5], target_actor=False)
    words = train_command(read_history(folder))
    assert words[:5] == ["ddpg-jax", "train", "ddpg", "--env", "an env"]
    assert " ".join(words[5:]) == "--seeds 4 --tau 0.5 --hidden 4 5 --no-target-actor"


@pytest.mark.parametrize("words", ["none", "a --out r.txt", "a --out there.html"])
def test_refusals_write_nothing(tmp_path, monkeypatch, capsys, words):
    run(tmp_path / "a", FOUR)
    (tmp_path / "there.html").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert main(["report", *words.split()]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a", "there.html"}
    assert (tmp_path / "there.html").read_text() == "mine"


def test_an_animation_is_inside_the_page_and_its_absence_is_explained(tmp_path, monkeypatch):
    folder = run(tmp_path / "a", FOUR)
    fake, seeds = types.ModuleType("ddpg_jax.results.render"), []

    def write(folder, out, seed):
        seeds.append(seed)
        out.write_bytes(b"GIF89a")

    fake.render = write
    fake.__spec__ = importlib.machinery.ModuleSpec("ddpg_jax.results.render", None)
    monkeypatch.setitem(sys.modules, "ddpg_jax.results.render", fake)
    assert "data:image/gif;base64,R0lGODlh" in report(folder).read_text()
    dead = run(tmp_path / "dead", [[None, None], [None, None]], steps=(10, 20), seed=3)
    lost = run(tmp_path / "lost", [[1.0, 2.0, 3.0], [5.0, 4.0, None], [None] * 3])
    for other in (dead, lost, evaluated(run(tmp_path / "b", FOUR), (1.0, 4.0, 2.0, 3.0))):
        report(other)
    assert seeds == [2, 3, 0, 1]  # of the last finite returns, of none, of those before, of the final evaluation

    def refuse(folder, out, seed):
        raise SettingError("lqr cannot be drawn <here>.")

    fake.render = refuse
    assert (
        "The policy could not be rendered: lqr cannot be drawn &lt;here&gt;."
        in report(folder, overwrite=True).read_text()
    )


def test_an_animation_leaves_no_folder_behind_where_a_signal_ends_the_process(tmp_path, monkeypatch):
    left = []

    def end(folder, out, seed):
        for undo in reversed(signals._undo):
            undo()
        left.append(out.parent.exists())
        raise SettingError("The process has ended.")

    monkeypatch.setattr("ddpg_jax.results.render.render", end)
    report(run(tmp_path / "a", FOUR))
    assert left == [False]


def test_the_best_of_a_sweep_has_its_curves(tmp_path):
    """In its own metrics.jsonl; those of all trials are in the sweep's curves.jsonl."""
    sweep = run(tmp_path / "sweep", [[0.0]], steps=(1,), kind="sweep")
    (sweep / "metrics.jsonl").unlink()
    lines = [
        {
            "trial": at,
            "values": {"tau": tau},
            "steps": steps,
            "updates": steps,
            "seconds": 1,
            "eval_return": [steps * tau],
        }
        for steps in (10, 20)
        for at, tau in ((0, 0.5), (1, 0.1))
    ]
    (sweep / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SettingError, match="must be a run, not a sweep; the best run of a sweep is in its folder best"):
        report(sweep, pictures=False)
    best = run(sweep / "best", [[5.0], [10.0]], steps=(10, 20), tau=0.5)
    assert [row["eval_return"] for row in read_history(best).rows] == [[5.0], [10.0]]
    assert [group.method for group in compare([tmp_path / "sweep"]).groups] == ["ddpg, tau 0.5", "ddpg, tau 0.1"]
    page = report(best, pictures=False)
    assert Page(page.read_text()).tags.count("svg") == 2
    assert page == tmp_path / "report-sweep-best.html"  # in the sweep's folder it would be in the way of --overwrite
    assert foreign_entry(sweep) is None
    assert default_output(best, "", ".gif") == tmp_path / "sweep-best.gif"
    assert default_output(sweep, "", ".gif") == tmp_path / "sweep.gif"
