"""`plot`: the numbers drawn, counted by hand or by NumPy alone; groups; refusals."""

import json

import numpy as np
import pytest

from ddpg_jax import LoopConfig, RunConfig, SettingError, Spec, plot
from ddpg_jax.cli.main import main
from ddpg_jax.results.compare import compare, improvement, profile
from ddpg_jax.results.figures import drawn
from ddpg_jax.results.labels import labelled, tick
from ddpg_jax.runs.registry import OWN
from ddpg_jax.runs.run_folder import config_dict, write_config

LOOP = LoopConfig()


def run(folder, returns, algorithm="ddpg", env="lqr", seed=0, steps=(10, 20, 30), kind="run", **config):
    """A run folder with these evaluations [T][S]; None where a seed has diverged."""
    bound = np.ones(1, np.float32)
    spec = Spec(env, (2,), np.dtype(np.float32), -bound, bound, episode_length=7)
    settings = RunConfig(env=env, seed=seed, seeds=len(returns[0]))
    contents = config_dict(algorithm, settings, LOOP, OWN[algorithm].config(**config), spec, kind)
    folder.mkdir()
    write_config(folder, contents)
    rows = [
        {"steps": at, "updates": at // 2, "seconds": at / 10, "eval_return": values, "critic/q": values}
        for at, values in zip(steps, returns, strict=True)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def middle(values):
    """The mean of the middle half."""
    cut = len(values) // 4
    return np.mean(np.sort(values)[cut : len(values) - cut])


FOUR = [[0.0, 1.0, 2.0, 9.0], [1.0, 2.0, 4.0, 90.0], [3.0, 5.0, 6.0, -7.0]]


def test_the_line_drawn_is_the_interquartile_mean(tmp_path):
    """And the band lies around it."""
    comparison = compare([run(tmp_path / "a", FOUR)])
    axes = drawn(comparison).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [middle(row) for row in FOUR])
    (group,) = comparison.groups
    assert (group.low < group.iqm).all()
    assert (group.iqm < group.high).all()
    assert group.low.min() >= np.min(FOUR)
    np.testing.assert_allclose(compare([tmp_path / "a"], x="seconds").groups[0].x, [1, 2, 3])


def test_other_seeds_join_and_other_settings_do_not(tmp_path):
    one = run(tmp_path / "a", [[1.0], [2.0], [3.0]])
    more = run(tmp_path / "b", [[5.0, 6.0], [7.0, 8.0], [9.0, 9.0]], seed=1)
    other = run(tmp_path / "c", [[0.0], [0.0], [0.0]], tau=0.5)
    groups = compare([one, more, other]).groups
    assert [(group.method, group.seeds) for group in groups] == [("ddpg, tau 0.005", [0, 1, 2]), ("ddpg, tau 0.5", [0])]
    np.testing.assert_array_equal(groups[0].values, [[1, 5, 6], [2, 7, 8], [3, 9, 9]])
    with pytest.raises(SettingError, match="seed 0 is in"):
        compare([one, one])


def test_other_steps_are_interpolated_and_nothing_is_beyond_them(tmp_path):
    one = run(tmp_path / "a", [[0.0], [10.0], [20.0]])
    late = run(tmp_path / "b", [[0.0], [20.0]], seed=1, steps=(15, 25))
    (group,) = compare([one, late]).groups
    np.testing.assert_array_equal(group.x, [15, 20, 25])
    np.testing.assert_allclose(group.values, [[5, 0], [10, 10], [15, 20]])


def test_a_seed_that_diverged_counts_with_the_worst_return(tmp_path):
    dead = run(tmp_path / "a", [[1.0, 2.0], [3.0, None], [5.0, None]])
    other = run(tmp_path / "b", [[-8.0, 0.0], [0.0, 0.0], [0.0, 0.0]], algorithm="td3")
    comparison = compare([dead, other])
    np.testing.assert_array_equal(comparison.groups[0].values, [[1, 2], [3, -8], [5, -8]])
    assert comparison.groups[0].diverged == {1: 20.0}
    assert labelled(comparison, "ddpg") == "ddpg (1 of 2 seeds diverged)"
    values = compare([dead], y="critic/q").groups[0].values
    np.testing.assert_array_equal(values, [[1, 2], [3, np.nan], [5, np.nan]])


def test_improvement_by_hand():
    """Task one: of 4 pairs 3 are above; task two: 1 of 2 pairs above and 1 equal, so 3/4."""
    x = [np.array([1.0, 3.0]), np.array([2.0])]
    y = [np.array([0.0, 2.0]), np.array([2.0, 1.0])]
    found = improvement("a", "b", x, y)
    assert found.share == 0.75
    assert 0 <= found.low <= 0.75 <= found.high <= 1
    assert improvement("b", "a", y, x).share == 0.25


def test_a_profile_by_hand():
    """Above, not at, a threshold; a task counts as much as another, however many its runs."""
    found = profile("a", [np.array([0.0, 0.5, 1.0, 1.0]), np.array([0.5])], np.array([0.0, 0.5, 0.9]))
    np.testing.assert_allclose(found.share, [(3 / 4 + 1) / 2, (2 / 4 + 0) / 2, (2 / 4 + 0) / 2])
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()


def test_several_tasks_have_profiles_and_improvements(tmp_path):
    folders = [
        run(tmp_path / f"{env}-{name}", [[0.0, 0.0], [1.0, top]], algorithm=name, env=env, steps=(10, 20))
        for env, top in (("lqr", 4.0), ("Pendulum-v1", 2.0))
        for name in ("ddpg", "td3")
    ]
    comparison = compare(folders)
    np.testing.assert_allclose(comparison.scores["lqr", "td3"], [0.25, 1])
    assert [(pair.better, pair.worse, pair.share) for pair in comparison.improvements] == [("ddpg", "td3", 0.5)]
    figure = drawn(comparison)
    assert [axes.get_title() for axes in figure.axes][:2] == ["lqr", "Pendulum-v1"]
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), comparison.profiles[0].share)
    assert figure.axes[3].lines[1].get_xdata()[0] == 0.5


@pytest.mark.parametrize(("kind", "mark"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files_and_what_is_refused(tmp_path, capsys, kind, mark):
    folder, out = run(tmp_path / "a", FOUR), tmp_path / "new" / f"figure.{kind}"
    assert main(["plot", str(folder), "--out", str(out)]) == 0
    first = out.read_bytes()
    assert first.startswith(mark)
    assert kind != "svg" or b"environment steps per seed</text>" in first
    assert main(["plot", str(folder), "--out", str(out)]) == 2
    assert "already exists; --overwrite" in capsys.readouterr().err
    assert plot([folder], out, overwrite=True).groups
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "said"),
    [("none --out f.png", "not a run folder"), ("a --out f.txt", "out must end in"), ("a --y loss", "y must be")],
)
def test_refusals_write_nothing(tmp_path, monkeypatch, capsys, words, said):
    run(tmp_path / "a", FOUR)
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_numbers_on_an_axis_share_a_unit():
    assert [tick(value, 20_000) for value in (0, 5000, 20_000)] == ["0", "5k", "20k"]
    assert [tick(value, 1500) for value in (-1000, 1500)] == ["−1000", "1500"]
