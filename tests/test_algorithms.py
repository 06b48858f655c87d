"""Every algorithm of the registry through a whole run, with the settings that they share switched on."""

import dataclasses
import json
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest
from toys import TINY, slow_but_for

from ddpg_jax import LoopConfig, SettingError, load_critic, load_policy, make_env, preset
from ddpg_jax.cli.main import main
from ddpg_jax.core.settings import check
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.experiment import run_experiment
from ddpg_jax.runs.presets import PRESETS, tuned_settings
from ddpg_jax.runs.registry import OWN

SHARED = {
    "hidden": (4, 4),
    "norm": "layer",
    "normalize_obs": True,
    "clip_norm": 1.0,
    "weight_decay": 1e-4,
    "reward_scale": 0.1,
    "final_scale": 0.01,
    "activation": "elu",
    "noise_scale_max": 0.3,
    "noise_final": 0.5,
}

COMPILED: list[str] = []  # names of the programs that XLA has compiled, or fetched from its cache


@jax.monitoring.register_event_duration_secs_listener
def note(event, seconds, **about):
    if event.endswith("backend_compile_duration"):
        COMPILED.append(about.get("fun_name"))


@pytest.mark.parametrize("name", slow_but_for(OWN, "ddpg", "dpg-on-policy"))
def test_a_run_compiles_each_phase_once_and_its_policy_can_be_taken_away(name, tmp_path):
    """Chunks of two lengths, two seeds; and config.json holds what it takes to build the agent again."""
    COMPILED.clear()
    kind = OWN[name].config
    known = {field.name for field in dataclasses.fields(kind)}
    config = kind(**{key: value for key, value in SHARED.items() if key in known})
    loop = LoopConfig(num_envs=2, batch_size=4, replay_capacity=50, warmup_steps=10)
    run = RunConfig(
        env="lqr", steps=30, seeds=2, evaluations=3, eval_episodes=2, episode_length=4, out=tmp_path / "run"
    )
    result = run_experiment(name, config, loop, run, log=lambda words: None)
    assert [COMPILED.count(f"jit({phase})") for phase in ("init", "prefill", "chunk", "evaluate")] == [1] * 4
    assert all(np.isfinite(row["mean"]) for row in result.table)
    obs, spec = np.array([0.3, -0.1], np.float32), make_env("lqr").spec
    second = jax.tree.map(lambda leaf: leaf[1], result.state.learner)
    action = load_policy(tmp_path / "run", 1)(obs)
    expected = OWN[name].make(config, spec).act(second, obs)
    np.testing.assert_allclose(spec.from_native(action), expected, rtol=0, atol=1e-6)  # of the range [-1, 1]
    assert np.isfinite(load_critic(tmp_path / "run", 0)(obs, action))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings_that_exist(name):
    config, loop, run = preset(name)
    for settings in (config, loop, run):
        check(settings)
    chosen = PRESETS[name]
    assert {key: getattr(config, key) for key in chosen.config} == chosen.config
    assert {key: getattr(loop, key) for key in chosen.loop} == chosen.loop
    assert {key: getattr(run, key) for key in chosen.run} == chosen.run


def test_the_published_preset_is_section_7_of_the_paper():
    """Lillicrap et al. 2016, number by number."""
    config, loop, _ = preset("lillicrap2016")
    assert (config.hidden, config.action_layer, config.norm, config.activation) == ((400, 300), 2, "batch", "relu")
    assert (config.actor_lr, config.critic_lr, config.weight_decay, config.tau) == (1e-4, 1e-3, 1e-2, 1e-3)
    assert (config.noise, config.noise_theta, config.noise_scale, config.discount) == ("ou", 0.15, 0.2, 0.99)
    assert (config.final_scale, config.optimizer, config.target_update) == (3e-3, "adam", "polyak")
    assert (loop.batch_size, loop.replay_capacity) == (64, 1_000_000)
    pixels, loop, run = preset("lillicrap2016-pixels")
    assert run.env == "pixels/Pendulum-v1"
    assert (pixels.hidden, pixels.final_scale, loop.batch_size) == ((200, 200), 3e-4, 16)


FAST = f"{TINY} --steps 60 --evaluations 1"


def test_a_preset_sets_defaults_and_flags_beside_it_win(tmp_path):
    """Of a preset that is named twice, in whichever form, the last counts, as for every other option."""
    twice = "--preset=tutorial --preset lecture"
    command = f"train ddpg {twice} {FAST} --hidden 4 --target-period 7 --out {tmp_path / 'run'}"
    assert main(shlex.split(command)) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["activation"], config["noise"], config["target_actor"]) == ("leaky-relu", "tanh-gaussian", False)
    assert (config["target_update"], config["target_period"], config["hidden"]) == ("periodic", 7, [4])


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            "train ddpg --preset nope",
            "preset must be one of those of ddpg (lillicrap2016, ",
        ),
        ("train ddpg --preset=nope", "not 'nope'."),
        (
            "train copdac-q --preset lecture",
            "preset must be one of those of copdac-q (none yet), not 'lecture'; it is one of ddpg.",
        ),
        ("train copdac-q --preset best", "preset best of copdac-q needs a task that was searched (none yet)."),
        ("train dpg-on-policy --norm batch", "norm must be one of none, layer for an on-policy method, not 'batch'."),
        ("train ddpg --noise-scale-max 0.5", "noise_scale_max must be None where num_envs is 1"),
        ("train dpg-off-policy --tau 0.5", "`ddpg-jax train dpg-off-policy` has no option --tau;"),
        ("train ddpg --norm group", "--norm must be one of none, layer, batch, not 'group'."),
        ("train copdac-q --norm batch", "--norm must be one of none, layer, not 'batch'."),
        ("train ddpg --clip-norm -1", "clip_norm must be above 0, not -1.0."),
        ("train ddpg --action-layer 5", "action_layer must be at most 3, one past `hidden`, not 5."),
        ("train dpg-on-policy --n-step 3", "n_step must be 1 for an on-policy method, not 3."),
        ("train ddpg --env pixels/Pendulum-v1 --normalize-obs", "normalize_obs must be False for images, not True"),
        ("train ddpg --n-step 0", "n_step must be at least 1, not 0."),
    ],
)
def test_refusals(command, sentence, capsys, tmp_path):
    assert main([*shlex.split(command), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def begun_with(command, monkeypatch):
    """The settings with which a command would begin a run."""
    settings = []

    def begin(*given, **rest):
        settings.extend(given)
        raise SettingError("enough is known")

    with monkeypatch.context() as patch:
        patch.setattr("ddpg_jax.runs.experiment.run_experiment", begin)
        assert main(shlex.split(command)) == 2
    return settings


def test_a_recipes_name_elsewhere_is_no_preset(monkeypatch):
    """A run folder may be called as a preset is."""
    _, config, _, run = begun_with(f"train ddpg {FAST} --out lecture", monkeypatch)
    assert (run.out, config.activation) == (Path("lecture"), "relu")


def test_best_is_what_a_search_found_for_the_task(monkeypatch, capsys):
    """From both doors; a flag beside it wins; on a task that was not searched it is refused."""
    monkeypatch.setitem(tuned_settings(), "copdac-q", {"lqr": {"actor_lr": 0.25, "discount": 0.5, "norm": "none"}})
    _, config, *_ = begun_with(f"train copdac-q --preset best {FAST} --discount 0.75", monkeypatch)
    assert (config.actor_lr, config.discount, config.norm) == (0.25, 0.75, "none")
    assert preset("best", "copdac-q", "lqr")[0].discount == 0.5
    capsys.readouterr()
    assert main(shlex.split("train copdac-q --preset best --env brax/ant")) == 2
    assert "preset best of copdac-q needs a task that was searched (lqr)." in capsys.readouterr().err
    for words in (("copdac-q", "brax/ant"), (None, "lqr"), ("copdac-q", None)):
        with pytest.raises(ValueError, match=r"preset best needs a task that was searched \(.*lqr.*\), not"):
            preset("best", *words)


@pytest.mark.parametrize("name", [(algorithm, env) for algorithm, tasks in tuned_settings().items() for env in tasks])
def test_what_was_tuned_are_settings_that_exist(name):
    algorithm, env = name
    config, _, run = preset("best", algorithm, env)
    assert run.env == env
    assert {field: getattr(config, field) for field in tuned_settings()[algorithm][env]} == tuned_settings()[algorithm][
        env
    ]


def test_an_unknown_preset_is_refused_in_python():
    with pytest.raises(ValueError, match=r"preset must be one of lillicrap2016, .*, not 'nope'"):
        preset("nope")
