"""What `--help` shows: one sentence, then options in groups, those that people look for first."""

import dataclasses
import re

import pytest

from ddpg_jax.cli.main import COMMANDS, EXIT_CODES, TRAINING, main
from ddpg_jax.cli.settings import config_groups, read_settings
from ddpg_jax.cli.sweep import Search
from ddpg_jax.runs.named import name_algorithm
from ddpg_jax.runs.presets import PRESETS, presets_for, tuned_settings
from ddpg_jax.runs.registry import algorithms


def help_of(command, monkeypatch, capsys, columns=100):
    """The lines of a help on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*command.split(), "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


def titles(lines):
    """Those of the frames, which tyro draws with or without lines."""
    found = [line.strip("╭─╮ ") for line in lines if not line.startswith(("│", "  "))]
    return [title for title in found if title.endswith(("options", "arguments", "commands", "codes"))]


@pytest.mark.parametrize("columns", [80, 100])
def test_the_first_help_lists_the_commands_and_the_exit_codes(columns, monkeypatch, capsys):
    """A line each."""
    lines = help_of("", monkeypatch, capsys, columns)
    framed = [line.strip("│ ").split(maxsplit=1) for line in lines if line.startswith("│")]
    assert [name for name, _ in framed] == [*TRAINING, *COMMANDS, *map(str, EXIT_CODES)]
    assert max(map(len, lines)) <= columns
    assert titles(lines) == ["commands", "exit codes"]


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("command", TRAINING)
def test_algorithms_are_listed_with_a_line_each(command, columns, monkeypatch, capsys):
    lines = help_of(command, monkeypatch, capsys, columns)
    framed = [line.strip("│ ").split(maxsplit=1) for line in lines if line.startswith("│")]
    assert [name for name, _ in framed] == list(algorithms())
    assert all(about.endswith(").") for _, about in framed)
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", algorithms())
def test_the_options_of_an_algorithm_come_first_and_those_of_processes_last(name, columns, monkeypatch, capsys):
    lines = help_of(f"train {name}", monkeypatch, capsys, columns)
    assert lines[0] == f"usage: ddpg-jax train {name} [-h] [OPTIONS]"
    assert lines[2] == algorithms()[name].about
    found = [title.removesuffix(" options") for title in titles(lines)]
    order = ["options", name, "run", "loop", "network", "exploration", "learning", "target network", "process"]
    assert found == [title for title in order if title in found]
    assert {"options", "run", "loop", "network", "learning", "process"} <= set(found)
    assert (name in found) == (not name.startswith("dpg"))
    assert max(map(len, lines)) <= columns
    for field in dataclasses.fields(algorithms()[name].config):
        assert sum(f"--{field.name.replace('_', '-')}" in line.replace(",", " ").split() for line in lines) == 1
    assert "{None}" not in "".join(lines)


def test_a_sweep_begins_with_what_is_searched(monkeypatch, capsys):
    assert titles(help_of("sweep ddpg", monkeypatch, capsys))[:3] == ["options", "search options", "ddpg options"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_explained_in_one_sentence(command, monkeypatch, capsys):
    lines = help_of(command, monkeypatch, capsys)
    assert lines[0].startswith(f"usage: ddpg-jax {command} [-h]")
    assert lines[2] == COMMANDS[command].__doc__
    assert lines[4].strip("╭─╮ ") == titles(lines)[0]


@pytest.mark.parametrize("command", [*COMMANDS, *(f"{name} ddpg" for name in TRAINING)])
def test_an_option_has_one_default_in_words_or_as_a_value(command, monkeypatch, capsys):
    """What is done "by default" is not followed by "(default: None)", unless a value was set."""
    text = " ".join(line.strip("│ ") for line in help_of(command, monkeypatch, capsys))
    options = re.split(r"(?:^| )--(?=[a-z])", text)
    assert not [option for option in options if "by default" in option and "(default:" in option]


def test_a_default_in_words_gives_way_to_a_value_that_was_set(monkeypatch, capsys):
    """Under a launcher, a process is one of several, whatever the words say of other cases."""
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    text = " ".join(" ".join(help_of("train ddpg", monkeypatch, capsys)).replace("│", " ").split())
    assert "by default detected under srun, mpirun and on TPU pods (default: True)" in text


@pytest.mark.parametrize("env", ["Pendulum-v1", "brax/reacher"])
@pytest.mark.parametrize("name", ["ddpg", "sac", "dpg-off-policy"])
def test_the_help_names_the_presets_of_the_environment(name, env, monkeypatch, capsys):
    text = " ".join(" ".join(help_of(f"train {name} --env {env}", monkeypatch, capsys)).replace("│", " ").split())
    (about,) = re.findall(r"for this environment: (.*?) \(default: None\)", text)
    names, _, elsewhere = about.partition(" (`best`: for ")
    assert names == (", ".join(presets_for(name, env)) or "none")
    assert bool(elsewhere) == (name in tuned_settings() and env not in tuned_settings()[name])


@pytest.mark.parametrize("name", algorithms())
def test_groups_hold_every_setting_once(name):
    config = algorithms()[name].config()
    groups = [dataclasses.asdict(group) for group in config_groups(config).values()]
    assert sum(map(len, groups)) == len(dataclasses.fields(config))
    assert {setting: value for group in groups for setting, value in group.items()} == dataclasses.asdict(config)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("form", ["--preset {}", "--preset={}"])
def test_a_preset_is_the_default_of_what_is_not_given(name, form):
    preset = PRESETS[name]
    args = [*form.format(name).split(), "--tau", "0.25", "--n_step=2"]
    settings = read_settings("ddpg-jax", name_algorithm(preset.algorithm), args, Search)
    assert settings.config == algorithms()[preset.algorithm].config(**preset.config | {"tau": 0.25})
    assert vars(settings.loop).items() >= (preset.loop | {"n_step": 2}).items()
    assert vars(settings.run).items() >= preset.run.items()
    assert settings.more == Search()


@pytest.mark.parametrize("none", ["None", "none", "NONE"])
def test_what_may_be_absent_can_be_switched_off(none):
    """None is a value in any case, where a preset gives a number."""
    absent = f"--weight-decay {none} --checkpoint-seconds {none} --backend {none}"
    settings = read_settings("ddpg-jax", name_algorithm("ddpg"), f"--preset lillicrap2016 {absent}".split())
    assert (settings.config.weight_decay, settings.run.checkpoint_seconds, settings.run.backend) == (None, None, None)
    assert settings.more is None


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"ddpg_jax \S+, jax \S+, flax \S+, optax \S+, Python 3\.\d+\.\d+\n", capsys.readouterr().out)
