"""What dashboards show: tags, rates, means and hyperparameters."""

import json

import pytest
from test_sinks import events_in
from toys import TINY

from ddpg_jax.cli.main import main
from ddpg_jax.runs.dashboards import hyperparameters, tag, values_of_seeds

TAGS = {
    "eval_return": "eval/return",
    "eval_length": "eval/length",
    "eval_q": "eval/q",
    "eval_saturation": "eval/saturation",
    "episode_return": "rollout/return",
    "episode_length": "rollout/length",
    "noise_scale": "rollout/noise_scale",
    "critic/loss": "train/critic_loss",
    "critic/q": "train/critic_q",
    "actor/grad_norm": "train/actor_grad_norm",
    "temperature/alpha": "train/temperature_alpha",
}


@pytest.mark.parametrize("name", TAGS)
def test_a_quantity_is_in_the_group_that_its_readers_know(name):
    assert tag(name) == TAGS[name]


def test_seeds_their_mean_and_the_time():
    """Two seeds took 300 steps each in 2 seconds, half a second of them for compiling: 400 steps/s of both."""
    before = {"steps": 100, "updates": 0, "seconds": 5.0, "compile_seconds": 3.0, "eval_return": [0.0, 0.0]}
    row = {"steps": 400, "updates": 30, "seconds": 7.0, "compile_seconds": 3.5, "eval_return": [1.0, None]}
    row["critic/loss"] = [2.0, 4.0]
    time = {"time/seconds": 7.0, "time/compile_seconds": 3.5, "time/updates": 30.0}
    time |= {"time/steps_per_second": 400.0, "time/updates_per_second": 40.0}
    assert values_of_seeds(row, before) == [
        {"eval/return": 1.0, "train/critic_loss": 2.0} | time,
        {"train/critic_loss": 4.0} | time,
        {"eval/return": 1.0, "train/critic_loss": 3.0} | time,
    ]
    assert not any("per_second" in name for name in values_of_seeds(row, None)[0])


def test_a_run_has_a_curve_per_seed_and_one_of_the_mean_with_its_hyperparameters(tmp_path):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    folder = tmp_path / "run"
    assert main(f"train ddpg {TINY} --steps 80 --evaluations 2 --tau 0.25 --out {folder}".split()) == 0
    assert sorted(path.name for path in (folder / "tensorboard").iterdir()) == ["mean", "seed0", "seed1"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for name, of in {
        "seed1": lambda row: row["eval_return"][1],
        "mean": lambda row: sum(row["eval_return"]) / 2,
    }.items():
        (file,) = (folder / "tensorboard" / name).iterdir()
        values = [(event.step, value) for event in events_in(file) for value in event.summary.value]
        found = [(step, value.simple_value) for step, value in values if value.tag == "eval/return"]
        assert [step for step, _ in found] == [row["steps"] for row in rows]
        assert [value for _, value in found] == pytest.approx([of(row) for row in rows])
        (began,) = (value for _, value in values if value.tag == "_hparams_/session_start_info")
        content = HParamsPluginData.FromString(began.metadata.plugin_data.content).session_start_info.hparams
        assert (content["tau"].number_value, content["algorithm"].string_value) == (0.25, "ddpg")
        assert (content["hidden"].string_value, content["curve"].string_value) == ("4", name)
        assert not content["target_actor"].HasField("string_value")


def test_settings_are_what_the_tab_takes():
    contents = {"algorithm": "ddpg", "run": {"env": "lqr", "out": None}, "loop": {"num_envs": 4}}
    contents["config"] = {"hidden": [64, 32], "tau": 0.5, "norm": "none", "target_actor": True}
    found = hyperparameters(contents)
    assert found == {"algorithm": "ddpg", "env": "lqr", "out": "None", "num_envs": 4, "hidden": "64 32"} | {
        "tau": 0.5,
        "norm": "none",
        "target_actor": True,
    }
