"""A run from the command line to the files it leaves and the policies taken from them."""

import json
import shlex
import shutil
import statistics

import jax
import numpy as np
import pytest
from trained import make_run

from ddpg_jax import DDPGConfig, Evaluation, LoopConfig, SettingError, ddpg, load_critic, load_policy, make_env, train
from ddpg_jax.cli.main import main
from ddpg_jax.core.types import TrainState
from ddpg_jax.deploy.evaluate import evaluate_run
from ddpg_jax.deploy.policy import load_learners
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs import folders
from ddpg_jax.runs.checkpoint import save_state
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.contents import LOCK
from ddpg_jax.runs.evaluation import best_probability, choice, read_evaluation
from ddpg_jax.runs.experiment import run_experiment, summarize
from ddpg_jax.runs.plan import idle_devices, make_plan, plan_run
from ddpg_jax.runs.programs import evaluation_keys, make_programs, seed_keys
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.resume import resume_experiment
from ddpg_jax.runs.stored_run import read_run

pytestmark = pytest.mark.usefixtures("same_programs")
LOOP = "--warmup-steps 100 --batch-size 16 --replay-capacity 140"  # as many as the fewest steps: one program for all
COMMAND = (
    f"train ddpg --env Pendulum-v1 --seeds 2 --seed 3 --steps 500 --evaluations 4 --eval-episodes 3 --hidden 8 8 {LOOP}"
)
BOX = 2.0  # Pendulum's torque


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "deep" / "pendulum"
    assert main([*shlex.split(COMMAND), "--out", str(path)]) == 0
    return path


def test_a_run_leaves_its_configuration_metrics_state_and_picture(folder):
    config = json.loads((folder / "config.json").read_text())
    assert (config["algorithm"], config["run"]["seeds"], config["config"]["hidden"]) == ("ddpg", 2, [8, 8])
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [100, 200, 300, 400, 500]
    assert [row["updates"] for row in rows] == [0, 100, 200, 300, 400]
    assert all(len(row["eval_return"]) == 2 for row in rows)
    assert rows[-1]["critic/loss"][0] > 0
    assert rows[1]["episode_return"][0] < 0
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert any((folder / "checkpoints").iterdir())
    assert any((folder / "tensorboard" / "seed4").iterdir())


def test_the_table_agrees_with_the_last_row_of_metrics(folder):
    final = json.loads((folder / "evaluation.json").read_text())
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    np.testing.assert_allclose([row["mean"] for row in final["seeds"]], last["eval_return"], rtol=1e-5)
    assert [row["seed"] for row in final["seeds"]] == [3, 4]
    assert final["best_seed"] == max(final["seeds"], key=lambda row: row["mean"])["seed"]
    assert all(row["min"] <= row["mean"] <= row["max"] and row["length"] == 200 for row in final["seeds"])


def test_the_command_line_trains_what_python_trains(tmp_path):
    """Of a seed and 40 updates: later, what two programs round apart has grown."""
    assert main([*shlex.split(COMMAND), "--steps", "140", "--evaluations", "1", "--out", str(tmp_path / "run")]) == 0
    env = make_env("Pendulum-v1")
    agent = ddpg(DDPGConfig(hidden=(8, 8)), env.spec)
    loop = LoopConfig(warmup_steps=100, batch_size=16, replay_capacity=1000)
    state, _ = jax.jit(lambda key: train(key, env, agent, loop, steps=140, chunks=1))(jax.random.key(4))
    learners = load_learners(tmp_path / "run")[1]
    jax.tree.map(
        lambda saved, trained: np.testing.assert_allclose(saved[1], trained, rtol=1e-3, atol=1e-4),
        learners.params,
        state.learner.params,
    )


def planned(seeds=1, devices=None, **loop):
    """The job of a run of 1,000 steps."""
    loop = LoopConfig(**{"warmup_steps": 100, "batch_size": 16, "replay_capacity": 1000} | loop)
    run = RunConfig(env="lqr", steps=1000, seeds=seeds, devices=devices, eval_episodes=1, out="nowhere")
    return plan_run("ddpg", DDPGConfig(hidden=(4,)), loop, run)


def test_the_plan_says_what_will_be_done():
    """900 updates of 16 transitions of 1,000; 90 updates of 160 draw as many of each."""
    said = []
    planned().say_plan(said.append)
    assert said[0].startswith(
        "ddpg on lqr (episodes of at most 50 steps), seed 0 (cpu): per seed 1,000 environment steps (1,000 vector "
        "steps of 1 environment), 100 of them warm-up, and 900 updates (1 per environment step) with minibatches of "
        "16, so that a transition is drawn 14.4 times on average; memory "
    )
    assert said[1].startswith("hardly any updates: 900 updates per seed, and a transition is drawn 14.4 times")
    assert said[2].startswith("7 of 8 devices are idle, since 1 seed runs on 1 of them; ")
    assert len(said) == 3
    assert planned(num_envs=10, batch_size=50, updates_per_step=2).plan.draws() == 9.0


def test_the_plan_says_what_was_rounded_and_warns_of_few_updates_and_idle_devices():
    rounded, few = planned(num_envs=64, batch_size=64, updates_per_step=1).plan.notes
    assert rounded == (
        "rounded up to whole steps of all 64 environments: steps from 1,000 to 1,024, warmup_steps from 100 to 128, "
        "replay_capacity from 1,000 to 1,024"
    )
    assert few.startswith("hardly any updates: 14 updates per seed, and a transition is drawn 0.875 times on average; ")
    assert planned(updates_per_step=2).plan.notes == ()
    assert all(idle_devices(job.layout, job.run) == "" for job in (planned(8), planned(1, devices=1)))


def test_the_plan_says_which_settings_do_less_than_was_asked_for():
    """Where that is no mistake to be refused: a preset may have set one of them."""

    def notes(algorithm="ddpg", config=DDPGConfig(hidden=(4,)), updates_per_step=2, **run):
        loop = LoopConfig(warmup_steps=100, batch_size=16, updates_per_step=updates_per_step)
        given = {"env": "lqr", "steps": 1000, "evaluations": 9, "eval_episodes": 1, "out": "nowhere"}
        return plan_run(algorithm, config, loop, RunConfig(**given | run)).plan.notes

    assert notes() == ()
    periodic = DDPGConfig(hidden=(4,), target_update="periodic", tau=0.1)
    assert notes(config=periodic) == ("tau (0.1) has no effect where target_update is periodic",)
    (slow,) = notes(config=DDPGConfig(hidden=(4,), noise_final=0.1))
    assert slow == "the noise does not reach noise_final: noise_steps are 100,000, the run's 1,000"
    assert notes(config=DDPGConfig(hidden=(4,), noise_final=0.1, noise_steps=1000)) == ()
    (seldom,) = notes(checkpoint_steps=99)
    assert seldom.startswith("a checkpoint is saved every 100 steps rather than every 99 (checkpoint_steps), ")
    assert notes(checkpoint_steps=100) == ()
    on_policy = algorithms()["dpg-on-policy"].config(hidden=(4,))
    assert notes("dpg-on-policy", on_policy, updates_per_step=1, steps=2_000) == (
        "batch_size (16) has no effect: an on-policy method learns from one step of all environments at a time",
    )
    residual = DDPGConfig(hidden=(4,), residual=True, norm="none")
    assert notes(config=residual) == ("norm (none) has no effect where residual is given",)


@pytest.mark.parametrize("seed", [None, 3, 4])
def test_a_policy_acts_within_bounds_on_one_observation_or_a_batch(folder, seed):
    policy = load_policy(folder, seed)
    obs = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 8]
    batch = policy(obs)
    assert batch.shape == (50, 1)
    assert np.abs(batch).max() <= BOX
    one = policy(obs[7])
    assert one.shape == (1,)
    np.testing.assert_allclose(one, batch[7], rtol=1e-5, atol=1e-6)


def test_seed_none_is_the_best_seed_and_seeds_differ(folder):
    obs = np.array([0.3, 0.9, 1.0])
    best = json.loads((folder / "evaluation.json").read_text())["best_seed"]
    np.testing.assert_array_equal(load_policy(folder)(obs), load_policy(folder, best)(obs))
    assert load_policy(folder, 3)(obs) != load_policy(folder, 4)(obs)


def test_policy_and_critic_are_the_agents_own_in_the_environments_units(folder):
    agent, learners, _ = load_learners(folder)
    learner = jax.tree.map(lambda leaf: leaf[0], learners)
    obs = np.array([[0.3, 0.9, 1.0], [1.0, 0.0, -2.0]], np.float32)
    np.testing.assert_allclose(load_policy(folder, 3)(obs), BOX * agent.act(learner, obs), rtol=1e-5)
    torque = np.array([[2.0], [-1.0]], np.float32)
    np.testing.assert_allclose(load_critic(folder, 3)(obs, torque), agent.value(learner, obs, torque / BOX), rtol=1e-5)
    assert load_critic(folder, 3)(obs[0], torque[0]).shape == ()


def test_wrong_shapes_and_seeds_are_refused(folder):
    with pytest.raises(ValueError, match=r"obs must have shape \(3,\).*not \(4,\)"):
        load_policy(folder)(np.zeros(4))
    with pytest.raises(SettingError, match=r"seed must be from 3 to 4 in .*, not 5"):
        load_policy(folder, 5)


def test_evaluate_prints_one_json_object(folder, capsys):
    assert main(["evaluate", str(folder), "--episodes", "5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["environment"], report["algorithm"], report["episodes"]) == ("Pendulum-v1", "ddpg", 5)
    assert [row["seed"] for row in report["seeds"]] == [3, 4]
    assert set(report["seeds"][0]) == {"seed", "mean", "standard_error", "std", "min", "max", "length"}


def test_evaluations_repeat_with_their_seed_and_differ_without(folder):
    first, again, other = (evaluate_run(folder, 2, seed)["seeds"] for seed in (1, 1, 2))
    assert first == again
    assert all(one["mean"] != two["mean"] for one, two in zip(first, other, strict=True))


def test_evaluate_prints_a_table(folder, capsys):
    assert main(["evaluate", str(folder), "--episodes", "5"]) == 0
    assert "5 deterministic episodes" in capsys.readouterr().out.replace("\n", " ")


def test_envs_lists_continuous_environments_only(capsys, monkeypatch):
    suites = {"": "ddpg_jax.envs.gymnax", "lqr": "ddpg_jax.envs.lqr"}
    monkeypatch.setattr("ddpg_jax.envs.suites.SUITES", suites)
    assert main(["envs"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("Pendulum-v1", "[-2, 2]", "PointRobot-misc", "lqr"))
    assert "CartPole" not in printed
    assert main(["envs", "lq"]) == 0
    assert "lqr" in (printed := capsys.readouterr().out)
    assert "Pendulum" not in printed
    assert main(["envs", "brx/"]) == 2
    assert capsys.readouterr().err == "error: beginning must be that of an id, as brax/ or playground/, not 'brx/'.\n"


BAD = {
    "--steps abc": "--steps must be a whole number, not 'abc'.",
    "--steps 0": "steps must be at least 1, not 0.",
    "--steps 50": "steps must be above warmup_steps: there are 50 vector steps, and 100 of warm-up.",
    "--env CartPole-v1": "CartPole-v1 has discrete actions",
    "--env Pendulm-v1": "did you mean Pendulum-v1?",
    "--env brax/ants": "did you mean brax/ant?",
    "--tau 1.5": "tau must be at most 1, not 1.5.",
    "--tau nan": "tau must be finite, not nan.",
    "--discount -0.1": "discount must be at least 0, not -0.1.",
    "--noise-theta inf": "noise_theta must be finite, not inf.",
    "--num-envs 0": "num_envs must be at least 1, not 0.",
    "--hidden 0": "hidden must be at least 1, not (0,).",
    "--reset-mode never": "--reset-mode must be one of pool, every-step, cached, not 'never'.",
    "--backend mjx": "Pendulum-v1 has no option 'backend'",
    "--episode-length 0": "episode_length must be at least 1, not 0.",
    "--replay-capacity 2000000000 --steps 2000000000": "replay_capacity must fit in memory",
    "--replay-capacity 1000000000000": "replay_capacity must be at most 2,147,483,647, not 1000000000000.",
    "--batch-size 101": "batch_size must be at most the 100 transitions that are stored in the warm-up",
    "--replay-capacity 15": "batch_size must be at most the 15 transitions",
    "--nonsense 3": "`ddpg-jax train ddpg` has no option --nonsense;",
    "--reset-mode cached --pool-size 8": "reset_mode must be pool where pool_size is given (8).",
    "--seed 3 --resume runs/a": "--resume takes no other settings than those of its folder",
}


@pytest.mark.parametrize("flags", BAD)
def test_a_bad_value_gets_one_sentence_and_exit_code_2(flags, tmp_path, capsys):
    assert main([*shlex.split(COMMAND), "--out", str(tmp_path / "run"), *shlex.split(flags)]) == 2
    errors = capsys.readouterr().err
    assert BAD[flags] in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("args", [["trian"], ["train", "dpgg"], ["evaluate"], ["evaluate", "nowhere"]])
def test_a_bad_command_gets_one_line_and_exit_code_2(args, capsys):
    assert main(args) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_is_not_overwritten_without_being_told_so(folder, capsys):
    before = (folder / "metrics.jsonl").read_bytes()
    assert main([*shlex.split(COMMAND), "--out", str(folder)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_a_run_folder_is_held_by_one_run_at_a_time(tmp_path):
    refused = pytest.raises(SettingError, match="out must not be in use")
    with folders.locked(tmp_path), refused, folders.locked(tmp_path):
        pass
    with folders.locked(tmp_path):
        pass


def test_a_folder_of_somebody_elses_is_not_overwritten_at_all(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main([*shlex.split(COMMAND), "--out", str(tmp_path), "--overwrite"]) == 2
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_config_json_alone_does_not_make_a_folder_ours(tmp_path, capsys, folder):
    (tmp_path / "thesis.tex").write_text("years of work")
    for config in ("{}", "[]", (folder / "config.json").read_text()):
        (tmp_path / "config.json").write_text(config)
        assert main([*shlex.split(COMMAND), "--out", str(tmp_path), "--overwrite"]) == 2
        assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert "neither" in capsys.readouterr().err


def test_a_run_of_ours_is_replaced_when_told_so(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("old")
    with folders.new_run_folder(tmp_path / "run", overwrite=True):
        assert {path.name for path in (tmp_path / "run").iterdir()} <= {LOCK}


def test_critic_pairs_one_with_many(folder):
    """One observation with a batch of actions, and the other way round, as NumPy broadcasts."""
    critic, rng = load_critic(folder), np.random.default_rng(0)
    obs, action = rng.normal(size=(5, 3)), rng.uniform(-2, 2, (5, 1))
    each = [critic(obs[0], one) for one in action]
    np.testing.assert_allclose(critic(obs[0], action), each, rtol=1e-4)
    np.testing.assert_allclose(critic(obs, action[0]), [critic(one, action[0]) for one in obs], rtol=1e-4)
    assert load_policy(folder)(np.zeros((0, 3))).shape == (0, 1)


def test_damaged_runs_are_refused_in_a_sentence(folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    (run / "evaluation.json").unlink()
    with pytest.raises(SettingError, match="pass a seed"):
        load_policy(run)
    stored = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(stored | {"config": stored["config"] | {"hidden": [9]}}))
    with pytest.raises(SettingError, match="must have the settings of its checkpoint"):
        load_policy(run, 3)
    (run / "config.json").write_text(json.dumps({"algorithm": "ddpg"}))
    assert main(["evaluate", str(run)]) == 2
    shutil.copy(folder / "config.json", run)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(SettingError, match="no checkpoint"):
        load_policy(run, 3)
    assert not (run / "checkpoints").exists()


@pytest.mark.parametrize("flags", ["--episodes 0", "--seed -1", "--seed 99999999999"])
def test_evaluate_refuses_numbers_it_cannot_use(folder, flags, capsys):
    assert main(["evaluate", str(folder), *flags.split()]) == 2
    assert flags.split()[0][2:] + " must be from" in capsys.readouterr().err


def test_evaluation_shares_no_key_with_training():
    """`fold_in(key, i)` is `split(key)[i]`: an evaluation at clock 1 must not begin where training did."""
    keys = seed_keys(RunConfig(seeds=2))
    children = np.concatenate([jax.random.key_data(jax.random.split(key, 8)) for key in keys])
    used = {tuple(row) for row in np.concatenate([jax.random.key_data(keys), children])}
    drawn = [jax.random.key_data(evaluation_keys(keys, clock)) for clock in range(50)]
    rows = {tuple(row) for row in np.concatenate(drawn)}
    assert len(rows) == 100
    assert not rows & used


def test_seeds_do_not_wrap_around(capsys, tmp_path):
    args = "train ddpg --seed 2147483647 --seeds 2 --steps 2000 --replay-capacity 10 --out"
    assert main([*args.split(), str(tmp_path / "run")]) == 2
    assert "2**31" in capsys.readouterr().err


def test_states_with_empty_arrays_can_be_saved(folder, tmp_path):
    """MuJoCo's states hold arrays without elements, which Orbax refuses."""
    _, learner, _ = load_learners(folder)
    empty = {"nothing": jax.numpy.zeros((2, 0)), "something": jax.numpy.ones(2)}
    save_state(tmp_path, 7, TrainState(jax.random.key(0), empty, (), learner, empty, np.zeros(2)), {})
    assert (tmp_path / "checkpoints" / "7").is_dir()


def test_a_learner_without_statistics_is_stored_as_before_there_were_any(folder):
    """So that runs stay readable when the learner gains a field that they do not use."""
    (stored,) = (folder / "checkpoints").glob("*/learner/_METADATA")
    assert "target_params" in stored.read_text()
    assert "normalizer" not in stored.read_text()


def test_the_choice_of_the_best_seed_is_said_with_how_sure_it_is(folder, tmp_path, capsys):
    """In the table, in a sentence below it, and in evaluation.json, which is read back."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert main(["resume", str(copy), "--more", "100"]) == 0
    printed = capsys.readouterr().out
    rows = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["steps"] == 600
    stored = read_evaluation(read_run(copy))
    assert f"{stored.best_seed} (best)" in printed
    assert "standard error" in " ".join(printed.split())
    first, second = stored.rows
    z = abs(first["mean"] - second["mean"]) / np.hypot(first["standard_error"], second["standard_error"])
    assert stored.best_probability == pytest.approx(statistics.NormalDist().cdf(z), abs=1e-4)
    assert f"seed {stored.best_seed} is the best with probability " in printed
    assert main(["resume", str(copy), "--more", "100", "--steps", "900"]) == 2
    assert capsys.readouterr().err == "error: more must not be given together with steps, not 100 with 900.\n"
    with pytest.raises(SettingError, match=r"more must be a whole number of at least 1, not 0\."):
        resume_experiment(copy, more=0)


def seed_row(seed, mean, error=1.0):
    return {"seed": seed, "mean": mean, "standard_error": error}


@pytest.mark.parametrize(
    ("table", "probability", "words"),
    [
        ([seed_row(3, 1.0), seed_row(4, 1.0)], 0.5, "seed 3 is the best with probability 0.50, by the standard errors"),
        ([seed_row(3, 9.0), seed_row(4, 90.0)], 1.0, "seed 4 is the best with probability above 0.99, by"),
        ([seed_row(3, None), seed_row(4, 1.0), seed_row(5, 1.0)], 0.5, "seed 4 is the best with probability 0.50"),
        ([seed_row(3, 1.0)], None, ""),
        ([seed_row(3, None), seed_row(4, 1.0)], None, ""),
        ([seed_row(3, 1.0, None), seed_row(4, 2.0, None)], None, ""),
        ([{"seed": 3, "mean": 1.0}, {"seed": 4, "mean": 2.0}], None, ""),
    ],
)
def test_how_sure_a_choice_is(table, probability, words, tmp_path):
    assert best_probability(table) == probability
    said = choice(table, 32, tmp_path)
    assert said.startswith(words)
    assert bool(said) == bool(words)
    hint = f"; `ddpg-jax evaluate {tmp_path} --episodes 1000` compares them better"
    assert said.endswith(hint) == (probability == 0.5)


def test_a_diverged_seed_is_no_number_in_json():
    returns = np.array([[1.0, np.nan], [1.0, 2.0]])
    table = summarize(RunConfig(seeds=2), Evaluation(returns, np.ones((2, 2))))
    assert [row["mean"] for row in table] == [None, 1.5]
    assert [row["standard_error"] for row in table] == [None, 0.5]  # of the mean of 1 and 2, with n - 1
    (alone,) = summarize(RunConfig(seeds=1), Evaluation(np.ones((1, 1)), np.ones((1, 1))))
    assert (alone["mean"], alone["standard_error"]) == (1, None)
    json.dumps(table, allow_nan=False)


def test_the_plan_is_printed_first(tmp_path):
    """Before anything is compiled."""

    class Enough(BaseException):
        pass

    def hear(sentence):
        said.append(sentence)
        raise Enough

    said = []
    config, loop = (
        DDPGConfig(hidden=(4,)),
        LoopConfig(num_envs=4, updates_per_step=2, warmup_steps=40, batch_size=8, replay_capacity=100),
    )
    run = RunConfig(env="lqr", steps=82, evaluations=1, eval_episodes=1, out=tmp_path / "run")
    with pytest.raises(Enough):
        run_experiment("ddpg", config, loop, run, log=hear)
    assert "per seed 84 environment steps (21 vector steps of 4 environments), 40 of them warm-up, and 22" in said[0]
    assert " 22 updates (0.5 per environment step)" in said[0]
    row = 2 * 2 + 1 + 1 + 1  # obs, next_obs, action, reward, discount in float32, and a byte for truncated
    assert f"replay {(4 * row + 1) * 100 / 2**20:,.1f} MiB" in said[0]


@pytest.mark.parametrize(
    ("mapping", "devices", "copied"), [("vmap", 1, 0), ("sequential", 1, 1), ("sequential", 2, 2), ("sequential", 4, 0)]
)
def test_the_plan_counts_the_seed_that_is_copied_out_to_be_trained(mapping, devices, copied):
    """One on each device, where there are more seeds than devices."""
    config, loop = DDPGConfig(hidden=(4,)), LoopConfig(warmup_steps=40, batch_size=4, replay_capacity=100)
    run = RunConfig(env="lqr", seeds=4)
    env = make_env("lqr")
    plan = make_plan(env, make_programs(env, "ddpg", loop, 1), config, loop, run, Layout(mapping, devices))
    assert plan.peak_bytes * 4 == plan.state_bytes * (4 + copied)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_run_fits_in_memory_with_the_seed_that_is_copied_out(missing, monkeypatch):
    """To the byte; and the states of all seeds alone are not enough."""
    config, loop = DDPGConfig(hidden=(4,)), LoopConfig(warmup_steps=40, batch_size=4, replay_capacity=100)
    run, env = RunConfig(env="lqr", seeds=4), make_env("lqr")
    settings = (env, make_programs(env, "ddpg", loop, 1), config, loop, run, Layout("sequential"))
    plan = make_plan(*settings)
    assert plan.total_bytes > plan.peak_bytes > plan.state_bytes
    monkeypatch.setattr("ddpg_jax.runs.memory.memory_limit", lambda devices: plan.total_bytes - missing)
    if not missing:
        assert make_plan(*settings) == plan
        return
    with pytest.raises(SettingError, match="replay_capacity must fit in memory"):
        make_plan(*settings)


def test_environments_too_have_the_precision_of_the_run(tmp_path):
    """In `evaluate` and `render`, where no other program has it around them."""
    env = read_run(make_run(tmp_path / "run", "ddpg", make_env("lqr").spec)).make_env_to_play()
    state = jax.eval_shape(env.reset, jax.random.key(0))
    text = jax.jit(env.step).lower(jax.random.key(0), state, np.zeros(1, np.float32)).as_text()
    assert text.count("stablehlo.dot_general") == text.count("precision = [HIGHEST, HIGHEST]") > 0


def test_numbers_of_numpy_are_settings_and_several_at_once_are_not(tmp_path):
    """In all that a run writes they are plain; an array is for `jax.vmap` over `train`."""
    config = DDPGConfig(tau=np.float32(0.5), hidden=(np.int64(4),))
    run = RunConfig(env="lqr", steps=np.int64(1_100), evaluations=np.int32(1), out=tmp_path / "run")
    job = plan_run("ddpg", config, LoopConfig(num_envs=np.int64(2), updates_per_step=np.int64(1)), run)
    assert "2 environments" in job.describe()
    assert all(type(number) is int for number in (*job.plan.bounds, job.plan.steps(5), job.plan.updates(550)))
    found = job.config_dict()
    assert (found["config"]["tau"], found["config"]["hidden"], found["loop"]["num_envs"]) == (0.5, [4], 2)
    with pytest.raises(SettingError, match="tau must be one number in a run, not array"):
        plan_run("ddpg", DDPGConfig(tau=np.array([0.1, 0.2])), LoopConfig(), RunConfig(env="lqr", out=tmp_path / "run"))
