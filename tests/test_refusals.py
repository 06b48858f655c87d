"""Bad input, from the command line and from Python: one sentence, exit code 2, nothing compiled, nothing written."""

import dataclasses
import math

import pytest

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, SettingError, run_experiment
from ddpg_jax.cli.main import main

INF, NAN = math.inf, math.nan
# setting: values that it cannot have
BAD = {
    "steps": (0, -5, 2**31),
    "seeds": (0, -1),
    "seed": (-1, 2**31),
    "evaluations": (0, -1),
    "eval_episodes": (0, -3),
    "keep_checkpoints": (0,),
    "checkpoint_seconds": (-1.0, NAN, INF),
    "checkpoint_steps": (0, -1),
    "devices": (0, 4096),
    "num_envs": (0, -1),
    "updates_per_step": (0, -2),
    "batch_size": (0, -1, 101),
    "replay_capacity": (0, -1, 3, 2**31, 2_000_000_000),
    "n_step": (0, -1),
    "warmup_steps": (0, -1, 7, 10**9),
    "pool_size": (0, -1),
    "actor_lr": (-1e-3, NAN, INF),
    "critic_lr": (-1e-3, NAN, -INF),
    "discount": (-0.1, 1.01, NAN),
    "tau": (-0.1, 1.5, NAN),
    "target_period": (0, -1),
    "reward_scale": (NAN, INF),
    "weight_decay": (-1.0, NAN),
    "clip_norm": (-1.0, INF),
    "noise_scale": (-0.1, NAN),
    "noise_scale_max": (-0.1, 0.5),
    "noise_final": (-0.1, NAN),
    "noise_steps": (0, -1),
    "noise_theta": (-0.1, 1.1),
    "noise_epsilon": (-0.1, 1.1),
    "hidden": ((0,), (8, -1)),
    "action_layer": (0, 3),
    "final_scale": (-0.1, NAN),
    "episode_length": (0, -1),
    "action_repeat": (0, -1),
}
CASES = [(name, value) for name, values in BAD.items() for value in values]
# said otherwise than by the setting's own name
SAYS = {("batch_size", 101): "batch_size", ("replay_capacity", 3): "batch_size", ("warmup_steps", 7): "batch_size"}
WORDS = {
    "--env Pendulum": "did you mean Pendulum-v1?",
    "--env brax/antt": "did you mean brax/ant?",
    "--env CartPole-v1": "has discrete actions",
    "--env Pendulum-v1 --backend mjx": "has no option 'backend'",
    "--reset-mode sometimes": "--reset-mode",
    "--noise pink": "--noise",
    "--norm btach": "--norm",
    "--optimizer adamw": "--optimizer",
    "--activation relux": "--activation",
    "--seed-mapping pmap": "--seed-mapping",
    "--matmul-precision float8": "--matmul-precision",
    "--target-update sometimes": "--target-update",
    "--steps many": "--steps",
    "--hidden wide": "--hidden",
    "--actr-lr 3": "did you mean --actor-lr?",
    "--preset lectures": "preset must be one of",
    "--process 1": "distributed must be given with coordinator",
}


def test_there_are_enough_of_them():
    assert len(CASES) + len(WORDS) >= 60
    fields = {f.name for kind in (RunConfig, LoopConfig, DDPGConfig) for f in dataclasses.fields(kind)}
    assert set(BAD) <= fields


def settings_with(name, value, folder):
    """(config, loop, run) of a small run, one of which holds the value."""
    config = DDPGConfig(hidden=(4,))
    loop = LoopConfig(batch_size=16, replay_capacity=1000, warmup_steps=100)
    run = RunConfig(env="lqr", steps=200, evaluations=1, eval_episodes=1, out=folder)
    groups = [
        dataclasses.replace(group, **{name: value}) if hasattr(group, name) else group for group in (config, loop, run)
    ]
    assert groups != [config, loop, run] or value != value
    return groups


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_number_that_cannot_be_used(name, value, tmp_path, capsys):
    """In Python as a SettingError, from the command line as exit code 2, with the same sentence."""
    folder = tmp_path / "run"
    sentences = []
    with pytest.raises(SettingError) as refused:
        run_experiment("ddpg", *settings_with(name, value, folder), log=sentences.append)
    said = str(refused.value)
    assert SAYS.get((name, value), name) in said
    assert sentences == []
    flag = f"--{name.replace('_', '-')}"
    words = "train ddpg --env lqr --steps 200 --evaluations 1 --eval-episodes 1 --hidden 4 --batch-size 16"
    words = f"{words} --replay-capacity 1000 --warmup-steps 100 --out {folder}".split()
    values = value if isinstance(value, tuple) else (value,)
    assert main([*words, flag, *map(str, values)]) == 2
    errors = capsys.readouterr().err
    assert errors == f"error: {said}\n"
    assert not folder.exists()


@pytest.mark.parametrize("words", WORDS)
def test_a_word_that_cannot_be_used(words, tmp_path, capsys):
    command = f"train ddpg --steps 2000 --out {tmp_path / 'run'} {words}"
    assert main(command.split()) == 2
    errors = capsys.readouterr().err
    assert WORDS[words] in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


SLIPS = {
    "trian ddpg": "train",
    "train dpgg": "ddpg",
    "train ddpg --batchsize 3": "--batch-size",
    "evalute x": "evaluate",
}


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_is_answered_with_what_was_meant(words, capsys):
    assert main(words.split()) == 2
    assert f"did you mean {SLIPS[words]}?" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    """Below a file, and in a place that does not bear folders."""
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run", "/proc/run"):
        assert main(["train", "ddpg", "--env", "lqr", "--steps", "2000", "--out", str(out)]) == 2
        errors = capsys.readouterr().err
        assert "out must be a" in errors
        assert errors.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"
