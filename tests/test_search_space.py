"""space.py: which settings a sweep tries, and in how many programs."""

import numpy as np
import pytest
import scipy.stats

from ddpg_jax import DDPGConfig, LoopConfig, SettingError
from ddpg_jax.algorithms.d4pg import D4PGConfig
from ddpg_jax.cli.sweep import Search
from ddpg_jax.sweeps.search_space import Range, applied, compile_groups, grid, perturbed, read, sampled

GROUPS = (DDPGConfig(), LoopConfig())


def test_a_grid_is_every_combination_once_the_last_fastest():
    points = grid({"tau": [0.1, 0.2], "batch_size": [8, 16]})
    assert [tuple(point.values()) for point in points] == [(0.1, 8), (0.1, 16), (0.2, 8), (0.2, 16)]


def test_draws_are_even_in_their_scale_and_within_their_range():
    """Kolmogorov-Smirnov against the distribution that the scale names; independent; the seed alone decides."""
    ranges = {"actor_lr": Range("log", 1e-5, 1e-2), "tau": Range("uniform", 0.1, 0.3)}
    points = sampled(500, ranges, seed=3)
    rates, taus = (np.array([point[name] for point in points]) for name in ranges)
    assert scipy.stats.kstest(np.log10(rates), "uniform", (-5, 3)).pvalue > 0.01
    assert scipy.stats.kstest(taus, "uniform", (0.1, 0.2)).pvalue > 0.01
    assert abs(scipy.stats.spearmanr(rates, taus).statistic) < 0.12
    assert points == sampled(500, ranges, seed=3) != sampled(500, ranges, seed=4)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("actor_lr", "1e-4", "3"), [1e-4, 3]),
        (("actor-lr", "0.5"), [0.5]),
        (("hidden", "64,64", "8"), [(64, 64), (8,)]),
        (("batch_size", "32"), [32]),
        (("tau", ".5", "1e-2"), [0.5, 0.01]),
        (("normalize_obs", "True", "False"), [True, False]),
        (("norm", "batch", "none"), ["batch", "none"]),
        (("weight_decay", "None", "none", "0.01"), [None, None, 0.01]),
    ],
)
def test_words_become_values_of_the_settings_kind(words, values):
    assert read(words[0], words[1:], GROUPS) == (words[0].replace("-", "_"), values)


def test_numbers_share_a_program_and_shapes_do_not():
    """Each point is in one group, at its place, and applying it gives what the group trains."""
    points = grid({"tau": [0.1, 0.2], "hidden": [(4,), (8,)], "batch_size": [8], "actor_lr": [0.0, 1e-3]})
    found = compile_groups(points, *GROUPS)
    assert [group.config.hidden for group in found] == [(4,), (8,)]
    assert sorted(index for group in found for index in group.indices) == list(range(8))
    for group in found:
        assert group.loop.batch_size == 8
        assert group.hyperparams.keys() == {"tau", "actor_lr"}
        for place, index in enumerate(group.indices):
            config, loop = applied(points[index], *GROUPS)
            assert loop == group.loop
            assert config.hidden == group.config.hidden
            assert np.float32(config.tau) == group.hyperparams["tau"][place]
            assert np.float32(config.actor_lr) == group.hyperparams["actor_lr"][place]


def test_an_absent_number_shapes_the_program():
    """None switches a term off; a number is a leaf."""
    found = compile_groups(grid({"weight_decay": [None, 0.1, 0.2]}), *GROUPS)
    assert [group.indices for group in found] == [(0,), (1, 2)]
    assert found[0].hyperparams == {}
    assert found[0].config.weight_decay is None


def test_perturbed_values_are_a_fifth_less_or_a_quarter_more_and_within_bounds():
    """A discount stays at most 1; what is not named stays as it is."""
    trial, rng = {"tau": 0.5, "discount": 0.9, "batch_size": 8}, np.random.default_rng(0)
    made = [perturbed(trial, ["tau", "discount"], DDPGConfig(), rng) for _ in range(20)]
    assert {round(one["tau"], 6) for one in made} == {0.4, 0.625}
    assert {round(one["discount"], 6) for one in made} == {0.72, 1.0}
    assert {one["batch_size"] for one in made} == {8}
    assert trial["tau"] == 0.5


def test_perturbed_bounds_stay_in_order():
    """A draw that crosses is made anew; where none can be kept, the trial stays."""
    trial, config = {"value_low": 0.9, "value_high": 1.0}, D4PGConfig()
    for seed in range(20):
        moved = perturbed(trial, ["value_low", "value_high"], config, np.random.default_rng(seed))
        assert moved["value_low"] < moved["value_high"]
    stuck = {"value_high": 1.0}
    assert perturbed(stuck, ["value_high"], D4PGConfig(value_low=2.0), np.random.default_rng(0)) == stuck


def test_more_trials_than_there_may_be_are_refused():
    with pytest.raises(SettingError, match="grid must make at most 100,000 trials, not 1000000000"):
        grid({f"x{index}": range(1000) for index in range(3)})


@pytest.mark.parametrize(("most", "sizes"), [(7, [7]), (6, [4, 3]), (3, [3, 2, 2]), (1, [1] * 7)])
def test_a_family_is_split_into_the_fewest_equal_parts(most, sizes):
    (group,) = compile_groups(grid({"tau": [i / 10 for i in range(1, 8)]}), *GROUPS)
    parts = group.split(most)
    assert [len(part.indices) for part in parts] == sizes
    assert sum((part.indices for part in parts), ()) == group.indices
    assert [len(part.hyperparams["tau"]) for part in parts] == sizes
    np.testing.assert_array_equal(np.concatenate([part.hyperparams["tau"] for part in parts]), group.hyperparams["tau"])


LOG = ("actor_lr", "log", 1e-5, 1e-2)
REFUSED = {
    "grid must give values to try, and there are none.": {},
    "grid must give values to try, and there are none for tau": {"grid": (("tau",),)},
    "grid and range must name a setting once, not tau twice": {"grid": (("tau", "0.1"), ("tau", "0.2"))},
    "grid and range must name a setting once, not actor_lr twice": {
        "grid": (("actor-lr", "0.1"),),
        "range": (LOG,),
        "sample": 2,
    },
    "grid must name settings of the algorithm or the loop, and actor_l is not one; did you mean actor_lr?": {
        "grid": (("actor_l", "0.1"),)
    },
    "grid must name settings of the algorithm or the loop, and steps is not one": {"grid": (("steps", "10"),)},
    "actor_lr must be numbers, not 'fast'": {"grid": (("actor_lr", "fast"),)},
    "batch_size must be whole numbers, not '8,'": {"grid": (("batch_size", "8,"),)},
    "hidden must be whole numbers, as in 64,64, not '64x64'": {"grid": (("hidden", "64x64"),)},
    "normalize_obs must be True or False, not 'yes'": {"grid": (("normalize_obs", "yes"),)},
    "sample and range must be given together": {"range": (LOG,)},
    "sample must be a whole number of at least 1, not 0": {"range": (LOG,), "sample": 0},
    "range of actor_lr must be log or uniform, not 'lin'": {"range": (("actor_lr", "lin", 0.0, 1.0),), "sample": 1},
    "range of actor_lr must go from a lower to a higher number above 0, not 0.0 to 1.0": {
        "range": (("actor_lr", "log", 0.0, 1.0),),
        "sample": 1,
    },
    "range of tau must go from a lower to a higher number, not 1.0 to 0.5": {
        "range": (("tau", "uniform", 1.0, 0.5),),
        "sample": 1,
    },
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_tried_is_refused_in_a_sentence(sentence):
    with pytest.raises(SettingError) as error:
        Search(**REFUSED[sentence]).trials(GROUPS)
    assert str(error.value).startswith(sentence.rstrip("."))


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([{"tau": 2.0}], "tau must be at most 1, not 2.0"),
        ([{"batch_size": 0}], "batch_size must be at least 1, not 0"),
        ([{"norm": "group"}], "norm must be one of"),
        ([{"tau": 0.1}, {"actor_lr": 0.1}], "trials must all name the same settings"),
    ],
)
def test_points_that_cannot_be_used_are_refused(points, sentence):
    with pytest.raises(SettingError, match=sentence):
        compile_groups(points, *GROUPS)


def test_draws_and_grid_are_combined():
    search = Search(grid=(("tau", "0.1", "0.2"),), range=(LOG,), sample=3, sample_seed=1)
    points = search.trials(GROUPS)
    assert len(points) == 6
    assert [point["tau"] for point in points] == [0.1, 0.2] * 3
    assert len({point["actor_lr"] for point in points}) == 3
