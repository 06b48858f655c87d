"""`plot`: the numbers that it draws against hand-computed ones or NumPy's; groups; the caption; refusals."""

import json

import numpy as np
import pytest

from ddpg_jax import LoopConfig, RunConfig, SettingError, Spec, plot
from ddpg_jax.cli.main import main
from ddpg_jax.cli.show import _groups_table
from ddpg_jax.results.compare import _varying_settings, compare, improvement, profile
from ddpg_jax.results.curves import distinct_names
from ddpg_jax.results.labels import caption, legend_label, tick
from ddpg_jax.results.plot import draw_comparison, encode_figure
from ddpg_jax.runs.registry import OWN
from ddpg_jax.runs.run_folder import config_dict, write_config
from ddpg_jax.runs.stored_run import read_run
from ddpg_jax.sweeps.curves import read_trials

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
        {"steps": step, "updates": step // 2, "seconds": step / 10, "eval_return": values, "critic/q": values}
        for step, values in zip(steps, returns, strict=True)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def interquartile_mean(values):
    """The mean of the middle half, by NumPy alone."""
    cut = len(values) // 4
    return np.mean(np.sort(values)[cut : len(values) - cut])


FOUR = [[0.0, 1.0, 2.0, 9.0], [1.0, 2.0, 4.0, 90.0], [3.0, 5.0, 6.0, -7.0]]


def test_the_line_is_the_interquartile_mean(tmp_path):
    """And its interval contains it."""
    comparison = compare([run(tmp_path / "a", FOUR)])
    axes = draw_comparison(comparison).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [interquartile_mean(row) for row in FOUR])
    (group,) = comparison.groups
    assert (group.low < group.iqm).all()
    assert (group.iqm < group.high).all()
    assert group.low.min() >= np.min(FOUR)
    np.testing.assert_allclose(compare([tmp_path / "a"], x="seconds").groups[0].x, [1, 2, 3])


def test_runs_join_if_only_their_seeds_differ(tmp_path):
    one = run(tmp_path / "a", [[1.0], [2.0], [3.0]])
    more = run(tmp_path / "b", [[5.0, 6.0], [7.0, 8.0], [9.0, 9.0]], seed=1)
    other = run(tmp_path / "c", [[0.0], [0.0], [0.0]], tau=0.5)
    groups = compare([one, more, other]).groups
    assert [(group.method, group.seeds) for group in groups] == [("ddpg, tau 0.005", [0, 1, 2]), ("ddpg, tau 0.5", [0])]
    np.testing.assert_array_equal(groups[0].values, [[1, 5, 6], [2, 7, 8], [3, 9, 9]])
    with pytest.raises(SettingError, match="seed 0 is in"):
        compare([one, one])


def test_two_versions_of_ones_own_code_are_apart(tmp_path):
    for name in "ab":
        folder = run(tmp_path / name, [[1.0], [2.0], [3.0]], env="tank.py:Tank")
        contents = json.loads((folder / "config.json").read_text())
        contents["code"] = {"env": {"file": str(tmp_path / "tank.py"), "sha256": 64 * name}}
        (folder / "config.json").write_text(json.dumps(contents))
    groups = compare([tmp_path / "a", tmp_path / "b"]).groups
    assert [group.task for group in groups] == ["tank.py:Tank, code aaaaaaaa", "tank.py:Tank, code bbbbbbbb"]


def test_methods_are_compared_where_a_surviving_one_ends(tmp_path):
    """Not where the run of one ended because all of its seeds had diverged, nor before another was first measured."""
    dead = run(tmp_path / "a", [[0.0], [None]], steps=(10, 20))
    good = run(tmp_path / "b", [[0.0], [1.0], [50.0], [100.0]], "td3", steps=(10, 20, 50, 100))
    late = run(tmp_path / "c", [[5.0], [6.0]], "sac", steps=(120, 130))
    found = compare([dead, good])
    assert found.compared_at == {"lqr": 100}
    assert (found.scores["lqr", "ddpg"].item(), found.scores["lqr", "td3"].item()) == (0.0, 1.0)
    assert compare([good, late]).scores.keys() == {("lqr", "td3")}


def test_an_algorithm_may_have_gained_a_setting_since(tmp_path):
    """As one's own may between two runs; what a run does not have differs from what another has."""
    old, new = run(tmp_path / "old", FOUR), run(tmp_path / "new", FOUR, algorithm="ddpg", tau=0.5)
    settings = [{"algorithm": "mine"}, {"algorithm": "mine", "charge": 0.5}]
    for given in (settings, settings[::-1]):
        assert sorted(distinct_names(given, "algorithm")) == ["mine, charge 0.5", "mine, charge none"]
    assert _varying_settings(settings, ["mine", "mine"]) == ["charge"]
    assert len(compare([old, new]).groups) == 2


def test_the_bounds_of_a_trial_may_be_each_other(tmp_path):
    """They are checked together; value_low 200 alone would be above d4pg's value_high."""
    swept = run(tmp_path / "sweep", [[0.0]], "d4pg", steps=(1,), kind="sweep")
    values = {"value_low": 200.0, "value_high": 500.0}
    row = {"trial": 0, "values": values, "steps": 1, "updates": 1, "seconds": 1, "eval_return": [0.0]}
    (swept / "curves.jsonl").write_text(json.dumps(row) + "\n")
    ((trial, _),) = read_trials(read_run(swept))
    assert (trial.config.value_low, trial.config.value_high) == (200.0, 500.0)
    (swept / "curves.jsonl").write_text(json.dumps(row | {"values": values | {"value_low": 600.0}}) + "\n")
    with pytest.raises(SettingError, match=r"values.value_high: value_high must be above value_low \(600.0\)"):
        read_trials(read_run(swept))


def test_names_are_what_differs_between_any_two_in_a_place():
    """In the order of the first pair that differs: of the first with each other one, then of the second, and so on."""
    settings = [
        {"algorithm": "a", "tau": 1, "size": None},
        {"algorithm": "a", "tau": 2, "only": [3]},
        {"algorithm": "b", "tau": 1},
        {"algorithm": "a", "tau": 2, "only": [4], "size": None},
        {"algorithm": "a", "tau": 1, "size": 5},
    ]
    assert distinct_names(settings, "algorithm", [0, 1, 0, 1, 0]) == [
        "a, size none, only none",
        "a, size none, only [3]",
        "b",
        "a, size none, only [4]",
        "a, size 5, only none",
    ]


def test_thousands_of_settings_have_names():
    settings = [{"algorithm": "a", "same": 1, "tau": tau, "hidden": (tau, 2)} for tau in range(2_000)]
    assert distinct_names(settings, "algorithm") == [f"a, tau {tau}, hidden {tau}-2" for tau in range(2_000)]


def sweep_of(folder, values, ends):
    """A sweep's folder with a trial of two seeds for each of these values of tau, and where its curve ends."""
    run(folder, [[0.0, 0.0]], steps=(1,), kind="sweep")
    rows = [
        {"trial": trial, "values": {"tau": tau}, "steps": steps, "updates": 1, "seconds": 1, "eval_return": [end, end]}
        for trial, (tau, end) in enumerate(zip(values, ends, strict=True))
        for steps in (10, 20)
    ]
    (folder / "curves.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_trials_with_equal_settings_are_told_apart_by_their_number(tmp_path):
    """Also where they are equal in float32 alone, as after a factor of 0.8 and one of 1.25."""
    swept = sweep_of(tmp_path / "sweep", [0.01, 0.5, 0.01 * 0.8 * 1.25 + 1e-18, 0.01], [1.0, 2.0, 3.0, 4.0])
    comparison = compare([swept])
    taus = (0.01, 0.5, 0.01, 0.01)
    assert comparison.methods == [f"ddpg, trial {trial}, tau {tau}" for trial, tau in enumerate(taus)]
    assert [group.iqm[-1] for group in comparison.groups] == [1.0, 2.0, 3.0, 4.0]


def test_without_a_time_of_its_own_there_is_none_to_plot(tmp_path):
    """The trials of a sweep share a clock, and `save_run` measures none, whose runs may have been resumed since."""
    swept = sweep_of(tmp_path / "sweep", [0.01, 0.5], [1.0, 2.0])
    saved = run(tmp_path / "saved", FOUR, steps=(0, 20, 30))
    for folder in (swept, saved):
        with pytest.raises(SettingError, match=r"x must be steps or updates for \S+, not 'seconds'"):
            compare([folder], x="seconds")
        assert compare([folder], x="updates").groups


def test_of_many_trials_the_best_have_a_style_of_their_own(tmp_path):
    """14 of 16; the others are one entry in the legend, and of several tasks so many are refused."""
    values = [0.01 * (1 + trial) for trial in range(16)]
    swept = sweep_of(tmp_path / "sweep", values, [0.0, *range(15, 0, -1)])
    figure = draw_comparison(compare([swept]))
    labels = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
    assert (labels[0], labels[13:]) == (
        "ddpg, tau 0.02 (2 seeds)",
        ["ddpg, tau 0.15 (2 seeds)", "2 more, which end lower"],
    )
    gray = [line.get_ydata()[-1] for line in figure.axes[0].lines if line.get_linewidth() < 1]
    assert gray == [0.0, 1.0]
    with pytest.raises(SettingError, match="at most 14 methods on several tasks, not 17"):
        draw_comparison(compare([swept, run(tmp_path / "other", [[0.0], [1.0]], env="Pendulum-v1", steps=(10, 20))]))


def test_seeds_with_other_steps_are_interpolated_but_not_extrapolated(tmp_path):
    one = run(tmp_path / "a", [[0.0], [10.0], [20.0]])
    late = run(tmp_path / "b", [[0.0], [20.0]], seed=1, steps=(15, 25))
    (group,) = compare([one, late]).groups
    np.testing.assert_array_equal(group.x, [15, 20, 25])
    np.testing.assert_allclose(group.values, [[5, 0], [10, 10], [15, 20]])


def test_a_seed_that_diverged_counts_with_the_worst_return(tmp_path):
    diverged = run(tmp_path / "a", [[1.0, 2.0], [3.0, None], [5.0, None]])
    other = run(tmp_path / "b", [[-8.0, 0.0], [0.0, 0.0], [0.0, 0.0]], algorithm="td3")
    comparison = compare([diverged, other])
    np.testing.assert_array_equal(comparison.groups[0].values, [[1, 2], [3, -8], [5, -8]])
    assert comparison.groups[0].diverged == {1: 20.0}
    assert legend_label(comparison, "ddpg") == "ddpg (1 of 2 seeds diverged)"
    values = compare([diverged], y="critic/q").groups[0].values
    np.testing.assert_array_equal(values, [[1, 2], [3, np.nan], [5, np.nan]])


def test_a_discounted_return_is_a_return(tmp_path):
    folder = run(tmp_path / "a", [[1.0, 2.0], [3.0, None]], steps=(10, 20))
    metrics = (folder / "metrics.jsonl").read_text().replace("critic/q", "eval_discounted")
    (folder / "metrics.jsonl").write_text(metrics)
    np.testing.assert_array_equal(compare([folder], y="eval_discounted").groups[0].values, [[1, 2], [3, 1]])


def test_a_group_that_was_never_measured_has_no_curve(tmp_path, capsys):
    """It is in the legend, the caption and the table; where no other is left, the figure is refused."""
    dead = run(tmp_path / "dead", [[None, None], [None, None]], steps=(10, 20))
    good = run(tmp_path / "good", [[1.0], [2.0]], "td3", steps=(10, 20))
    comparison = compare([dead, good], y="critic/q")
    assert [group.method for group in comparison.groups] == ["td3"]
    labels = [text.get_text() for text in draw_comparison(comparison).legends[0].get_texts()]
    assert labels == ["ddpg (2 of 2 seeds diverged)", "td3 (1 seed)"]
    assert "No value of critic q was finite, so that there is no curve: ddpg on lqr." in caption(comparison)
    words = ["plot", str(dead), str(good), "--out", str(tmp_path / "f.png"), "--y", "critic/q"]
    assert main(words) == 0
    assert "ddpg" in capsys.readouterr().out
    assert len(compare([dead, good]).groups) == 2  # of returns, where it counts with the worst
    with pytest.raises(SettingError, match="no run on lqr has one of 'critic/q'"):
        compare([dead], y="critic/q")


def test_a_seed_without_a_value_has_no_score(tmp_path):
    """As of a return in training, where no episode of it has ended."""
    folders = [
        run(tmp_path / f"{env}-{name}", [[0.0, 1.0], [1.0, 4.0]], algorithm=name, env=env, steps=(10, 20))
        for env in ("lqr", "Pendulum-v1")
        for name in ("ddpg", "td3")
    ]
    for folder, values in zip(folders, ([0.0, None], [0.0, 2.0], [0.0, 2.0], [None, 2.0]), strict=True):
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        lines = [json.dumps(row | {"episode_return": values}) + "\n" for row in rows]
        (folder / "metrics.jsonl").write_text("".join(lines))
    comparison = compare(folders, y="episode_return")
    assert {key: list(score) for key, score in comparison.scores.items()} == {
        ("lqr", "ddpg"): [0],
        ("lqr", "td3"): [0, 1],
        ("Pendulum-v1", "ddpg"): [0, 1],
        ("Pendulum-v1", "td3"): [1],
    }
    assert comparison.improvements[0].probability == (0.25 + 0.25) / 2


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_has_no_interval_in_the_table(seeds, tmp_path):
    printed = _groups_table(compare([run(tmp_path / "a", [[1.0] * seeds, [2.0] * seeds], steps=(10, 20))]))
    cells = {column.header: next(iter(column.cells)) for column in printed.columns}
    assert (cells["steps"], cells["iqm"]) == ("20", "2")
    assert {cells["low"], cells["high"]} == ({"2"} if seeds > 1 else {""})
    assert ("95% interval" in printed.title) == (seeds > 1)


def test_dollar_signs_in_names_are_no_formula(tmp_path):
    """In titles, in the legend, in a caption and beside improvements."""
    folders = [
        run(tmp_path / f"{number}{name}", [[0.0, 0.0], [1.0, 2.0]], name, rf"$\{number}", steps=(10, 20))
        for number in range(2)
        for name in ("ddpg", "td3")
    ]
    comparison = compare(folders)
    names = {"ddpg": r"$\ddpg$", "td3": r"$\td3$"}
    comparison = comparison._replace(
        tasks=[rf"{task}$" for task in comparison.tasks],
        methods=list(names.values()),
        varying_settings=[r"$\a$"],
        y=r"$\y$",
        groups=[group._replace(task=rf"{group.task}$", method=names[group.method]) for group in comparison.groups],
        profiles=[one._replace(method=names[one.method]) for one in comparison.profiles],
        improvements=[one._replace(method=r"$\a$") for one in comparison.improvements],
    )
    assert b"$" in encode_figure(draw_comparison(comparison), ".svg")


def test_the_caption_explains_what_the_figure_has(tmp_path):
    single = compare([run(tmp_path / "single", [[1.0]], steps=(10,))])
    assert caption(single) == "The line is a single seed."
    folders = [
        run(tmp_path / "a", [[1.0, 2.0], [3.0, None]], steps=(10, 20)),
        run(tmp_path / "b", [[1.0, 2.0], [3.0, 4.0]], steps=(10, 20), env="Pendulum-v1", tau=0.5),
        run(tmp_path / "c", [[1.0, 2.0], [3.0, 4.0]], steps=(10, 20), algorithm="td3"),
    ]
    assert caption(compare(folders)) == (
        "Lines are interquartile means over seeds, bands their 95% bootstrap intervals. × marks where a seed diverged; "
        "from there on, it counts with the worst return of any run on the task. The lower panels compare scores at 20 "
        "steps. They leave out 1 of 2 methods, which did not run on every task. "
        "Settings that differ between tasks: tau."
    )
    assert "from there on, it is excluded." in caption(compare(folders[:1], y="critic/q"))


def test_the_probability_of_improvement_of_a_hand_computed_case():
    """Task one: of 4 pairs 3 are above; task two: 1 of 2 pairs above and 1 equal, so 3/4."""
    x = [np.array([1.0, 3.0]), np.array([2.0])]
    y = [np.array([0.0, 2.0]), np.array([2.0, 1.0])]
    pair = improvement("a", "b", x, y)
    assert pair.probability == 0.75
    assert 0 <= pair.low <= 0.75 <= pair.high <= 1
    assert improvement("b", "a", y, x).probability == 0.25


def test_the_profile_of_a_hand_computed_case():
    """Scores above, not at, a threshold; tasks have equal weight, however many runs they have."""
    curve = profile("a", [np.array([0.0, 0.5, 1.0, 1.0]), np.array([0.5])], np.array([0.0, 0.5, 0.9]))
    np.testing.assert_allclose(curve.fraction, [(3 / 4 + 1) / 2, (2 / 4 + 0) / 2, (2 / 4 + 0) / 2])
    assert (curve.low <= curve.fraction).all()
    assert (curve.fraction <= curve.high).all()


def test_several_tasks_are_compared_by_profiles_and_improvements(tmp_path):
    folders = [
        run(tmp_path / f"{env}-{name}", [[0.0, 0.0], [1.0, top]], algorithm=name, env=env, steps=(10, 20))
        for env, top in (("lqr", 4.0), ("Pendulum-v1", 2.0))
        for name in ("ddpg", "td3")
    ]
    comparison = compare(folders)
    np.testing.assert_allclose(comparison.scores["lqr", "td3"], [0.25, 1])
    (pair,) = comparison.improvements
    assert (pair.method, pair.baseline, pair.probability) == ("ddpg", "td3", 0.5)
    figure = draw_comparison(comparison)
    assert [axes.get_title() for axes in figure.axes][:2] == ["lqr", "Pendulum-v1"]
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), comparison.profiles[0].fraction)
    assert figure.axes[3].lines[1].get_xdata()[0] == 0.5


def test_an_improvement_is_of_the_first_method_over_the_second(tmp_path):
    folders = [
        run(tmp_path / f"{env}-{name}", [[0.0, 0.0], [last, last]], algorithm=name, env=env, steps=(10, 20))
        for env in ("lqr", "Pendulum-v1")
        for name, last in (("ddpg", 1.0), ("td3", 2.0))
    ]
    (pair,) = compare(folders).improvements
    assert (pair.method, pair.baseline, pair.probability) == ("ddpg", "td3", 0.0)


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_are_reproducible_and_not_overwritten(tmp_path, capsys, suffix, magic):
    folder, out = run(tmp_path / "a", FOUR), tmp_path / "new" / f"figure.{suffix}"
    assert main(["plot", str(folder), "--out", str(out)]) == 0
    first = out.read_bytes()
    assert first.startswith(magic)
    assert suffix != "svg" or b"environment steps per seed</text>" in first
    assert main(["plot", str(folder), "--out", str(out)]) == 2
    assert "already exists; --overwrite" in capsys.readouterr().err
    assert plot([folder], out, overwrite=True).groups
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "message"),
    [("none --out f.png", "not a run folder"), ("a --out f.txt", "out must end in"), ("a --y loss", "y must be")],
)
def test_refusals_write_nothing(tmp_path, monkeypatch, capsys, words, message):
    run(tmp_path / "a", FOUR)
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_numbers_on_an_axis_share_a_unit():
    assert [tick(value, 20_000) for value in (0, 5000, 20_000)] == ["0", "5k", "20k"]
    assert [tick(value, 1500) for value in (-1000, 1500)] == ["−1000", "1500"]
