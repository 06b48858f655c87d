"""Bad input, from the command line and from Python: one sentence, exit code 2, nothing compiled, nothing written."""

import contextlib
import dataclasses
import math

import pytest

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, SettingError, run_experiment
from ddpg_jax.cli import elsewhere, parse
from ddpg_jax.cli.main import COMMANDS, main
from ddpg_jax.cli.settings import options_of
from ddpg_jax.runs.registry import algorithms

INF, NAN = math.inf, math.nan
# setting: values that it cannot have
BAD = {
    "steps": (0, -5, 2**31),
    "seeds": (0, -1, 10**7),
    "seed": (-1, 2**31),
    "evaluations": (0, -1, 10**9),
    "eval_episodes": (0, -3, 5 * 10**8),
    "keep_checkpoints": (0,),
    "checkpoint_seconds": (-1.0, NAN, INF),
    "checkpoint_steps": (0, -1),
    "devices": (0, 4096),
    "num_envs": (0, -1),
    "updates_per_step": (0, -2, 2**31 - 1),
    "batch_size": (0, -1, 101),
    "replay_capacity": (0, -1, 3, 2**31),
    "n_step": (0, -1, 10**9, 2**31 - 1),
    "warmup_steps": (0, -1, 7, 10**9),
    "pool_size": (0, -1, 2**31 - 1),
    "actor_lr": (-1e-3, NAN, INF),
    "critic_lr": (-1e-3, NAN, -INF),
    "discount": (-0.1, 1.01, NAN),
    "tau": (-0.1, 0.0, 1e-50, 1.5, NAN),
    "target_period": (0, -1, 5),
    "reward_scale": (NAN, INF),
    "weight_decay": (-1.0, 1e-50, NAN),
    "clip_norm": (-1.0, 0.0, 1e-45, INF),
    "noise_scale": (-0.1, NAN),
    "noise_scale_max": (-0.1, 0.05, 0.5),
    "noise_final": (-0.1, 1e7, NAN),
    "noise_steps": (0, -1, 5),
    "noise_theta": (-0.1, 1.1),
    "noise_epsilon": (-0.1, 1.1),
    "hidden": ((0,), (8, -1), (10**8, 10**8), (4,) * 10_000),
    "action_layer": (0, 3),
    "final_scale": (-0.1, 1e38, NAN),
    "episode_length": (0, -1, 2**31 - 1),
    "action_repeat": (0, -1, 100, 2**31 - 1),
}
CASES = [(name, value) for name, values in BAD.items() for value in values]
# said otherwise than by the setting's own name
SAYS = {("batch_size", 101): "batch_size", ("replay_capacity", 3): "batch_size", ("warmup_steps", 7): "batch_size"}
WORDS = {
    "--env Pendulum": "did you mean Pendulum-v1?",
    "--env brax/antt": "did you mean brax/ant?",
    "--env brax/zzz": "There is no environment 'brax/zzz'; `ddpg-jax envs` lists them.",
    "--env CartPole-v1": "has discrete actions",
    "--env Pendulum-v1 --backend mjx": "has no option 'backend'",
    "--backend mjy": "--backend must be one of mjx, spring, positional, generalized, not 'mjy'.",
    "--reset-mode sometimes": "--reset-mode must be one of pool, every-step, cached, not 'sometimes'.",
    "--noise blue": "--noise must be one of gaussian, tanh-gaussian, ou, pink, epsilon-uniform, not 'blue'.",
    "--norm btach": "--norm must be one of none, layer, batch, not 'btach'.",
    "--optimizer adamw": "--optimizer must be one of adam, sgd, not 'adamw'.",
    "--activation relux": "--activation must be one of relu, leaky-relu, elu, swish, tanh, not 'relux'.",
    "--seed-mapping pmap": "--seed-mapping must be one of auto, vmap, sequential, not 'pmap'.",
    "--matmul-precision float8": "--matmul-precision must be one of float32, tensorfloat32, bfloat16, not 'float8'.",
    "--target-update sometimes": "--target-update must be one of polyak, periodic, not 'sometimes'.",
    "--steps many": "--steps must be a whole number, not 'many'.",
    "--steps=1e6": "--steps must be a whole number, not '1e6'.",
    "--steps 100 --steps": "--steps must be followed by a whole number.",
    "--weight_decay small": "--weight-decay must be a number, not 'small'.",
    "--hidden wide": "--hidden must be whole numbers, as in 64 64, not 'wide'.",
    "--tau 0.1 0.2": "`ddpg-jax train ddpg` has no use for '0.2'; `ddpg-jax train ddpg --help` shows what it takes.",
    "--preset lectures": "preset must be one of",
    "--preset lectur": "not 'lectur'; did you mean lecture?",
    "--preset parallel": "not 'parallel'; it is one of d4pg.",
    "--preset zzz": "lecture), not 'zzz'.\n",
    "--preset": "--preset must be followed by a name.",
    "--=5": "`ddpg-jax train ddpg` has no option --; `ddpg-jax train ddpg --help` lists all.",
    "--": "`ddpg-jax train ddpg` has no option --; `ddpg-jax train ddpg --help` lists all.",
    "--distributed --coordinator here": "coordinator must be HOST:PORT, not 'here'.",
    "--distributed --coordinator here:99999": "coordinator must be HOST:PORT, not 'here:99999'.",
    "--distributed --coordinator here:1 --processes 0": "processes must be a whole number of at least 1, not 0.",
    "--distributed --coordinator here:1 --processes 2 --process 2": "process must be from 0 to 1 (processes), not 2.",
    "--replay-capacity 2147483647 --num-envs 1000 --steps 2147483647": "replay_capacity must stay below 2**31 when it",
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


def refusal(command, capsys):
    """The one sentence with which a command line is refused."""
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.endswith("\n")
    return error.removeprefix("error: ").rstrip("\n")


# What is known elsewhere, or mistyped: how it is answered.
MEANT = {
    "trian ddpg": "there is no command 'trian'; did you mean train?",
    "evalute runs/x": "there is no command 'evalute'; did you mean evaluate?",
    "eval runs/x": "there is no command 'eval'; did you mean evaluate?",
    "td3 --env lqr": "there is no command 'td3'; did you mean `ddpg-jax train td3`?",
    "train dppg": "there is no algorithm 'dppg'; did you mean ddpg?",
    "train dpgg --steps 3": "there is no algorithm 'dpgg'; did you mean ddpg?",
    "sweep TD3": "there is no algorithm 'TD3'; did you mean td3?",
    "train dpg": "there is no algorithm 'dpg'; did you mean dpg-on-policy or dpg-off-policy?",
    "train copdac": "there is no algorithm 'copdac'; did you mean copdac-q or copdac-gq?",
    "train ddpg --batchsize 3": "`ddpg-jax train ddpg` has no option --batchsize; did you mean --batch-size?",
    "train ddpg --actr-lr 3": "`ddpg-jax train ddpg` has no option --actr-lr; did you mean --actor-lr?",
    "train ddpg --warmup 3": "`ddpg-jax train ddpg` has no option --warmup; did you mean --warmup-steps?",
    "train ddpg --no-tensorbord": "`ddpg-jax train ddpg` has no option --no-tensorbord; did you mean --tensorboard?",
    "train td3 --nonsense 3": "`ddpg-jax train td3` has no option --nonsense; `ddpg-jax train td3 --help` lists all.",
    "train ddpg --alpha 3": "`ddpg-jax train ddpg` has no option --alpha; only sac and tqc have it, as --temperature.",
    "train td3 --n-critics 3": "`ddpg-jax train td3` has no option --n-critics; only tqc has it, as --critics.",
    "train sac --v_min=-9": "`ddpg-jax train sac` has no option --v_min; only d4pg has it, as --value-low.",
    "train sac --autotune": "`ddpg-jax train sac` has no option --autotune; SAC always tunes its temperature here, "
    "unless --temperature-lr is 0.",
    "train ddpg --cuda": "`ddpg-jax train ddpg` has no option --cuda; JAX takes the accelerator that it finds, and "
    "JAX_PLATFORMS=cpu keeps it on the CPU.",
    "train td3 --gamma 0.9 --batchsize 3 --zzz 1": "`ddpg-jax train td3` has other options: --gamma is `--discount "
    "0.9`; --batchsize is --batch-size; --zzz is not here; `ddpg-jax train td3 --help` lists all.",
    "train td3 --gamma 0.9 --env Ant-v5": "`ddpg-jax train td3` has other options: --gamma is `--discount 0.9`; --env "
    "Ant-v5 is `--env brax/ant` (the same task with Brax's own physics, so returns are not those in MuJoCo); "
    "`ddpg-jax train td3 --help` lists all.",
    "train dqn --gamma 0.9": "there is no algorithm 'dqn', which is a method for discrete actions; ddpg is nearest to "
    "it, and there are ddpg, td3, sac, tqc, d4pg, dpg-on-policy, dpg-off-policy, copdac-q, copdac-gq. `ddpg-jax train "
    "ddpg` has no option --gamma; did you mean --discount?",
    "resume x --gamma 0.9 --nu 3": "`ddpg-jax resume` has other options: --gamma is not here; --nu is not here; "
    "`ddpg-jax resume --help` lists all.",
    "render --sise 3": "`ddpg-jax render` has no option --sise; did you mean --size?",
    "evaluate x --gamma 0.9": "`ddpg-jax evaluate` has no option --gamma; `ddpg-jax evaluate --help` lists all.",
    "resume x --step 3": "`ddpg-jax resume` has no option --step; did you mean --steps?",
    "sweep sac --rnage tau log 0 1": "`ddpg-jax sweep sac` has no option --rnage; did you mean --range?",
    "train ddpg --tua 3": "`ddpg-jax train ddpg` has no option --tua; did you mean --tau?",
    "bench --second 3": "`ddpg-jax bench` has no option --second; did you mean --seconds?",
}


@pytest.mark.parametrize("command", MEANT)
def test_a_slip_is_answered_with_what_was_meant(command, capsys):
    assert refusal(command, capsys) == MEANT[command]


CLEANRL = (
    "--env-id Hopper-v4 --total-timesteps 1000000 --learning-rate 3e-4 --buffer-size 1000000 --gamma 0.99 --tau 0.005 "
    "--batch-size 256 --exploration-noise 0.1 --learning-starts 25000 --policy-frequency 2 --track "
    "--wandb-project-name x"
)


def test_a_whole_command_line_of_another_library_is_answered_at_once(capsys):
    """Each option with what it is called here and its value, one refusal for all."""
    said = refusal(f"train ddpg {CLEANRL}", capsys)
    assert said == (
        "`ddpg-jax train ddpg` has other options: --env-id is `--env brax/hopper` (the same task with Brax's own "
        "physics, so returns are not those in MuJoCo); --total-timesteps is `--steps 1000000`; --learning-rate is "
        "`--actor-lr 3e-4 --critic-lr 3e-4`; --buffer-size is `--replay-capacity 1000000`; --gamma is `--discount "
        "0.99`; --exploration-noise is `--noise-scale 0.1`; --learning-starts is `--warmup-steps 25000`; "
        "--policy-frequency is not here (only td3 has it, as --policy-delay); --track belongs to --wandb-project-name; "
        "--wandb-project-name is `--wandb x`; `ddpg-jax train ddpg --help` lists all."
    )


def test_the_table_of_options_names_options_that_are_here():
    known = {name: set(options_of(name)) for name in ("ddpg", "td3", "sac", "tqc", "d4pg")}
    for theirs, ours in elsewhere.OPTIONS.items():
        assert any(set(ours) <= options for options in known.values()), theirs
        assert not any(theirs in options for options in known.values()), theirs
    for option, having in elsewhere.ONLY_IN.items():
        assert tuple(name for name, options in known.items() if option in options) == having
    assert not elsewhere.NO_OPTION.keys() & (elsewhere.OPTIONS.keys() | set.union(*known.values()))


@pytest.mark.parametrize("name", ["ppo", "A2C", "reinforce", "c51", "redq"])
def test_an_algorithm_that_is_not_here_is_answered_with_those_that_are(name, capsys):
    other = elsewhere.ALGORITHMS[name.lower()]
    assert refusal(f"train {name} --steps 3", capsys) == (
        f"there is no algorithm '{name}', which is {other.what}; {other.nearest} is nearest to it, and there are "
        "ddpg, td3, sac, tqc, d4pg, dpg-on-policy, dpg-off-policy, copdac-q, copdac-gq."
    )
    assert {other.nearest for other in elsewhere.ALGORITHMS.values()} <= algorithms().keys()


@pytest.mark.parametrize("form", ["--{} 0.9", "--{}=0.9"])
@pytest.mark.parametrize("name", elsewhere.OPTIONS)
def test_an_option_of_another_library_is_answered_with_ours(name, form, capsys):
    """Of the first of these algorithms that has it; with underscores, too."""
    wanted = set(elsewhere.OPTIONS[name])
    having = (algorithm for algorithm in ("ddpg", "td3", "sac", "tqc", "d4pg") if wanted <= set(options_of(algorithm)))
    prog = f"ddpg-jax train {next(having)}"
    ours = " and ".join(f"--{option}" for option in elsewhere.OPTIONS[name])
    for spelled in (name, name.replace("-", "_")):
        command = f"{prog.removeprefix('ddpg-jax ')} {form.format(spelled)}"
        assert refusal(command, capsys) == f"`{prog}` has no option --{spelled}; did you mean {ours}?"


NEEDED = {
    "evaluate": "RUN",
    "evaluate --json": "RUN",
    "export": "RUN and --format {jax,onnx,npz}",
    "export runs/x": "--format {jax,onnx,npz}",
    "render": "RUN",
    "report": "RUN",
    "resume": "RUN",
}


@pytest.mark.parametrize("command", NEEDED)
def test_what_is_missing_is_named(command, capsys):
    prog = f"ddpg-jax {command.split()[0]}"
    assert refusal(command, capsys) == f"`{prog}` needs {NEEDED[command]}; `{prog} --help` explains it."


def test_plot_needs_folders(capsys):
    assert refusal("plot", capsys).startswith("plot needs a run folder, or several to compare")


@pytest.mark.parametrize("command", ["", "train", "sweep", "train --env lqr"])
def test_an_unfinished_command_is_answered_with_a_sentence_and_a_table(command, capsys):
    assert main(command.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    kind, names = ("an algorithm first", algorithms()) if command else ("a command", COMMANDS)
    first, *rest = printed.err.splitlines()
    assert first.startswith(f"error: name {kind}, as in `ddpg-jax ")
    assert set(names) <= {line.split()[1] for line in rest if line.startswith("│")}


def test_without_tyros_hook_people_see_tyros_panel(monkeypatch, capsys):
    """The hook is private to tyro; the answers to unknown options do not need it."""
    monkeypatch.setattr(parse, "on_parse_error", contextlib.nullcontext)
    assert main(["evaluate"]) == 2
    assert "Missing from ddpg-jax evaluate" in capsys.readouterr().err
    assert main(["train", "ddpg", "--steps", "many"]) == 2
    assert "Error parsing --steps" in capsys.readouterr().err
    assert refusal("train ddpg --gamma 3", capsys).endswith("did you mean --discount?")


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    """Below a file, and in a place that does not bear folders."""
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run", "/proc/run"):
        assert main(["train", "ddpg", "--env", "lqr", "--steps", "2000", "--out", str(out)]) == 2
        errors = capsys.readouterr().err
        assert "out must be a" in errors
        assert errors.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("out", ["a\0b", "x" * 300, "d/" * 3000, "\udcff", "new\nline\0"])
@pytest.mark.parametrize("command", ["train ddpg --env lqr", "sweep ddpg --env lqr --grid discount 0.5 0.9"])
def test_a_folder_that_cannot_be_is_refused_before_anything_is_compiled(command, out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "--steps", "2000", f"--out={out}"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: out must be a folder that can be written, and ")
    assert errors.count("\n") == 1
    assert len(errors) < 400
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["evaluate", "render", "report", "plot", "resume", "export --format npz"])
@pytest.mark.parametrize("folder", ["a\0b", "x" * 300, "\ud800", "new\nline"])
def test_a_run_that_cannot_be_is_refused_in_a_sentence(command, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name, *rest = command.split()
    assert main([name, folder, *rest]) == 2
    errors = capsys.readouterr().err
    assert "is not a run folder" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(("command", "suffix"), [("export x --format npz", ".npz"), ("plot x", ".png")])
@pytest.mark.parametrize("out", ["a\0b", "x" * 300, "\ud800"], ids=["nul", "long", "surrogate"])
def test_a_file_that_cannot_be_is_refused_before_the_run_is_read(command, suffix, out, capsys):
    assert main([*command.split(), f"--out={out}{suffix}"]) == 2
    assert capsys.readouterr().err.startswith("error: out must be a file that can be written, and ")


def test_an_environment_that_cannot_be_built_says_why(capsys, monkeypatch):
    """By its id, or by the beginning of ids none of which can be built; among others it is left out."""
    monkeypatch.setattr("ddpg_jax.envs.suites.SUITES", {"": "ddpg_jax.envs.gymnax"})
    for beginning in ("CartPole-v1", "CartPol"):
        assert refusal(f"envs {beginning}", capsys).startswith("CartPole-v1 has discrete actions")
    assert main(["envs", "MountainCar"]) == 0  # of which one has discrete actions
    assert "MountainCarContinuous-v0" in capsys.readouterr().out


def test_an_extra_that_is_missing_is_named_where_it_is_needed(capsys, monkeypatch):
    """Not where the ids of another kind begin so, too."""

    def ids(prefix):
        if prefix == "playground/":
            raise SettingError("playground/ needs the extra.")
        return [f"{prefix}one"]

    built = []
    monkeypatch.setattr("ddpg_jax.envs.suites.ids", ids)
    monkeypatch.setattr("ddpg_jax.cli.show._print_kind", lambda names: built.extend(names) or {})
    for beginning in ("playground/CartpoleBalance", "playground/", "playg"):
        assert refusal(f"envs {beginning}", capsys) == "playground/ needs the extra."
    assert built == []
    assert main(["envs", "p"]) == 0
    assert built == ["pixels/one"]
    assert refusal("envs brx/", capsys).startswith("beginning must be that of an id")


# What is tried in a sweep, and how it is refused.
TRIED = {
    "--grid": "grid must be followed by the name of a setting and the values to try.",
    "--grid tua 0.1": "grid must name settings of the algorithm or the loop, and tua is not one; did you mean tau?",
    "--grid zzzz 0.1": "grid must name settings of the algorithm or the loop, and zzzz is not one.",
    "--grid steps 100": "grid must name settings of the algorithm or the loop, and steps is not one.",
    "--grid tau 0.1 0.2 0.1": "trials must differ, and trials 0 and 2 are the same: 'tau 0.1'.",
    "--grid tau 0.1 0.100000000001": "trials must differ, and trials 0 and 1 are the same: 'tau 0.100000000001'.",
    "--grid tau [[[[": "tau must be numbers, not '[[[['.",
    "--grid tau 1e-50": "tau must be at least 1.18e-38 in size, the smallest number in float32, not 1e-50.",
    "--range tau log 0.1 1 --sample 1000000000": "sample must make at most 100,000 trials, not 1000000000.",
    "--range tau log 0.1 1 --sample 60000 --grid n_step 1 2": "grid with sample must make at most 100,000 trials, "
    "not 120000.",
    "--range tau log 0.1 1 --sample 3 --sample-seed -1": "sample_seed must be from 0 to 2,147,483,647, not -1.",
    "--range reward_scale uniform -1e308 1e308 --sample 3": "range of reward_scale must go from a lower to a higher "
    "number, not -1e+308 to 1e+308.",
    "--grid tau 0.1 0.2 --steps 1002 --evaluations 5 --halving 3": "halving must be below the 2 chunks of the run "
    "(steps, evaluations), not 3.",
}


@pytest.mark.parametrize("words", TRIED)
def test_a_sweep_that_cannot_be_made_is_refused(words, tmp_path, capsys):
    assert refusal(f"sweep ddpg --env lqr --out {tmp_path / 'sweep'} {words}", capsys) == TRIED[words]
    assert not (tmp_path / "sweep").exists()


def test_deep_brackets_are_no_traceback(capsys):
    assert main(["sweep", "ddpg", "--env", "lqr", "--grid", "tau", "[" * 100_000]) == 2
    assert capsys.readouterr().err.startswith("error: tau must be numbers, not '[[[[")


def test_d4pg_values_out_of_order_are_refused_by_the_plan(capsys):
    """Under jit they are traced, and could not be compared any more."""
    command = "train d4pg --env lqr --steps 2000 --value-low 5 --value-high 3"
    assert refusal(command, capsys) == "value_high must be above value_low (5.0), not 3.0."


def raising(error):
    """A command that fails."""

    def command() -> None:
        """Fail."""
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingError("steps must be odd."), 2, "error: steps must be odd.\n"),
        (OSError(28, "No space left", "runs/x"), 2, "error: runs/x cannot be used (No space left).\n"),
        (BrokenPipeError(32, "Broken pipe"), 2, "error: a file cannot be used (Broken pipe).\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_command_that_fails_has_its_code(error, code, words, monkeypatch, capsys):
    """A pipe to somewhere else than standard output is a failure, too."""
    monkeypatch.setitem(COMMANDS, "envs", raising(error))
    assert main(["envs"]) == code
    assert capsys.readouterr().err == words


def test_a_defect_is_not_hidden(monkeypatch):
    """tyro would show a ValueError of ours as a fault of the command line."""
    monkeypatch.setitem(COMMANDS, "envs", raising(ValueError("a defect")))
    with pytest.raises(ValueError, match="a defect"):
        main(["envs"])
