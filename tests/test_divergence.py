"""health.py: what went wrong first, in which seed and when; the others go on as if nothing had happened."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import TINY, slow, spec

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, SettingError, ddpg, load_policy
from ddpg_jax.cli.main import main
from ddpg_jax.core.divergence import NEVER, diverged_seeds, initial_nonfinite_at, monitored
from ddpg_jax.core.environment import env_from_functions
from ddpg_jax.core.loop import trainer
from ddpg_jax.devices.layout import Layout
from ddpg_jax.envs import registered
from ddpg_jax.runs import figures
from ddpg_jax.runs.experiment import run_experiment
from ddpg_jax.runs.programs import make_programs
from ddpg_jax.runs.resume import resume_experiment

pytestmark = pytest.mark.usefixtures("same_programs")
CONFIG = DDPGConfig(hidden=(4,))
LOOP = LoopConfig(num_envs=2, batch_size=8, replay_capacity=400, warmup_steps=20, pool_size=2)
FULL = LOOP.replace(replay_capacity=120)  # by a run, whose program is then also that of the run that goes on from it
LONG = 60  # steps of an episode


def treacherous(what, when=LONG - 10):
    """An environment whose `what` is not finite from the `when`-th step of an episode on, where x began positive."""

    def reset(key):
        x = jax.random.normal(key)
        return (x, jnp.zeros((), jnp.int32)), jnp.array([x, 0.0])

    def step(key, state, action):
        x, time = state
        bad = (time + 1 >= when) & (x > 0)
        obs = jnp.where(bad & (what == "obs"), jnp.nan, jnp.array([x, time / LONG]))
        return (x, time + 1), obs, jnp.where(bad & (what == "reward"), jnp.inf, 1.0), False, False

    return env_from_functions(reset, step, spec((2,), 1, episode_length=LONG))


def jitted(env, agent):
    """(key -> the state of one seed after the warm-up; (state, vector_step, length) -> state, metrics)."""
    run = trainer(env, agent, LOOP)
    return jax.jit(lambda key: run.prefill(run.init(key))), jax.jit(run.train)


@pytest.mark.parametrize("what", ["reward", "obs"])
def test_the_first_quantity_that_goes_bad_is_known_with_its_clock(what):
    """Where an environment began positive it turns bad at its 50th step, which is clock 49; the learner stays."""
    env = treacherous(what)
    start, train = jitted(env, ddpg(CONFIG, env.spec))
    for seed in range(3):
        before = start(jax.random.key(seed))
        after = train(before, 10, 60)[0]
        expected = (before.env.env.obs[:, 0] > 0).any()
        assert diverged_seeds(after.learner, np.asarray(after.nonfinite_at)[None]) == (
            {0: (49, what)} if expected else {}
        )
        same = jax.tree.map(lambda a, b: bool((a == b).all()), before.learner, after.learner)
        assert all(jax.tree.leaves(same)) == bool(expected)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.learner))


@pytest.mark.parametrize("what", ["reward", "obs"])
def test_what_goes_bad_in_the_warm_up_is_known_with_its_clock_and_spoils_no_statistics(what):
    """There nothing is learned yet, so the report would come when the NaN is drawn from the replay."""
    env = treacherous(what, when=5)
    agent = ddpg(CONFIG.replace(normalize_obs=True), env.spec)
    start, train = jitted(env, agent)
    begins = (trainer(env, agent, LOOP).init(jax.random.key(seed)).env.env.obs[:, 0] for seed in range(9))
    before = start(jax.random.key(next(seed for seed, obs in enumerate(begins) if (obs > 0).any())))
    assert diverged_seeds(before.learner, np.asarray(before.nonfinite_at)[None]) == {0: (4, what)}
    after = train(before, 10, 5)[0]
    for leaf in jax.tree.leaves((before.learner, after.learner)):
        assert np.isfinite(leaf).all()


def test_a_loss_is_told_from_what_it_spoils():
    """A critic that explodes in its first step: its loss was finite, what the actor sees of it is not."""
    env = treacherous("nothing")
    start, train = jitted(env, ddpg(CONFIG.replace(critic_lr=1e30), env.spec))
    after = train(start(jax.random.key(0)), 10, 20)[0]
    assert diverged_seeds(after.learner, np.asarray(after.nonfinite_at)[None]) == {0: (10, "actor/loss")}
    names = monitored(after.learner)
    assert names == ("obs", "reward", "action", "critic/loss", "actor/loss", "parameters")
    assert [after.nonfinite_at[names.index(name)] for name in ("critic/loss", "action", "obs")] == [11, 11, NEVER]


def test_parameters_alone_are_looked_at_too():
    """A last update whose loss was still finite."""
    env = treacherous("nothing")
    agent = ddpg(CONFIG, env.spec)

    def update(learner, *rest):
        learner, metrics = agent.update(learner, *rest)
        params = learner.params | {"critic": jax.tree.map(lambda leaf: leaf + jnp.inf, learner.params["critic"])}
        return dataclasses.replace(learner, params=params), metrics

    start, train = jitted(env, agent._replace(update=update))
    after = train(start(jax.random.key(0)), 10, 1)[0]
    assert diverged_seeds(after.learner, np.asarray(after.nonfinite_at)[None]) == {0: (11, "parameters")}


def test_nothing_is_bad_to_begin_with():
    learner = ddpg(CONFIG, treacherous("nothing").spec).init(jax.random.key(0))
    assert (initial_nonfinite_at(learner) == NEVER).all()
    assert diverged_seeds(learner, np.asarray(initial_nonfinite_at(learner))[None]) == {}


@pytest.fixture(scope="module")
def sharing():
    """The programs of two devices that share an agent."""
    if len(jax.devices()) < 2:
        pytest.skip("needs two devices")
    return make_programs(treacherous("reward"), "ddpg", LOOP, 1, Layout("sequential", 1, 2))


@pytest.mark.parametrize("length", [*slow(40), 60])
def test_devices_that_share_an_agent_die_together(sharing, length):
    """The environments of one device go bad, and all keep the same learner; in a chunk that ends on that very step,
    too, of which no minibatch has told the others."""
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    for key in keys:
        state = sharing.start(key[None], CONFIG)
        expected = bool((state.env.env.obs[0, :, 0] > 0).any())
        after, _ = sharing.chunk(state, 10, length, CONFIG)
        assert bool((after.nonfinite_at < NEVER).any()) == expected
        for leaf in jax.tree.leaves((after.learner, after.nonfinite_at)):
            one, other = (np.asarray(shard.data) for shard in leaf.addressable_shards)
            np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def half_dead(tmp_path_factory):
    """A run of four seeds of which some die at clock 49, 98 environment steps; with its folder and what was said."""
    patch = pytest.MonkeyPatch()
    patch.setattr(registered, "_added", {"toy": treacherous("reward")})
    run = RunConfig(env="toy", steps=120, seeds=4, evaluations=5, eval_episodes=1, checkpoint_seconds=0.0)
    folder, said = tmp_path_factory.mktemp("runs") / "run", []
    result = run_experiment(
        "ddpg", CONFIG, FULL, dataclasses.replace(run, out=folder), log=said.append, should_stop=lambda: False
    )
    yield result, said, run
    patch.undo()


def dead_of(result):
    return {row["seed"] for row in result.table if row["diverged"]}


def test_a_dead_seed_is_reported_once_and_counts_no_more(half_dead):
    result, said, _ = half_dead
    dead = dead_of(result)
    assert 0 < len(dead) < 4
    for seed in range(4):
        told = [line for line in said if line.startswith(f"seed {seed} diverged at 98 steps: reward is not finite")]
        assert len(told) == (seed in dead)
    for row in result.table:
        assert (row["diverged"] == "reward at 98 steps") == (row["seed"] in dead)
        assert row["mean"] is None or row["seed"] not in dead
    rows = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [20, 40, 60, 80, 100, 120]
    for row in rows:
        gone = [row["steps"] > 98 and seed in dead for seed in range(4)]
        assert [value is None for value in row.get("critic/loss", [0.0] * 4)] == gone
        assert all(value is None for value, one in zip(row["eval_return"], gone, strict=True) if one)
    assert result.outcome == "finished"
    assert json.loads((result.folder / "evaluation.json").read_text())["best_seed"] not in dead
    assert np.isfinite(load_policy(result.folder, min(dead))(np.zeros(2))).all()


def test_the_others_go_on_as_they_would_have(half_dead, tmp_path):
    """Against the same seed alone."""
    result, _, run = half_dead
    for seed in set(range(4)) - dead_of(result):
        alone = run_experiment(
            "ddpg", CONFIG, FULL, dataclasses.replace(run, seed=seed, seeds=1, out=tmp_path / str(seed)), log=str
        )
        for mine, theirs in zip(
            jax.tree.leaves(result.state.learner), jax.tree.leaves(alone.state.learner), strict=True
        ):
            np.testing.assert_allclose(mine[seed], theirs[0], rtol=1e-3, atol=1e-5)


def test_a_dead_seed_is_still_dead_after_a_resume(half_dead):
    result, _, _ = half_dead
    said = []
    more = resume_experiment(result.folder, steps=160, log=said.append)
    assert dead_of(more) == dead_of(result)
    assert [row["diverged"] for row in more.table] == [row["diverged"] for row in result.table]
    for seed in dead_of(more):
        before, after = (jax.tree.leaves(run.state.learner) for run in (result, more))
        assert all((one[seed] == other[seed]).all() for one, other in zip(before, after, strict=True))


def test_halting_ends_the_run_at_the_chunk(half_dead, tmp_path):
    _, _, run = half_dead
    run = dataclasses.replace(run, halt_on_nan=True, out=tmp_path / "run")
    result = run_experiment("ddpg", CONFIG, FULL, run, log=str)
    assert (result.outcome, result.steps) == ("halted", 100)


def test_where_all_are_dead_the_run_ends(tmp_path, capsys):
    """Exit code 4, a table that says so, no best seed, and a picture all the same."""
    words = f"train ddpg {TINY} --critic-lr 1e30 --steps 400 --evaluations 4 --out {tmp_path / 'run'}"
    assert main(words.split()) == 4
    printed = capsys.readouterr().out
    assert "seed 1 diverged at" in printed
    assert "2 diverged" in printed
    assert "not finite" in printed
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["steps"] == 130
    with pytest.raises(SettingError, match="pass a seed"):
        load_policy(tmp_path / "run")


def test_a_picture_leaves_the_dead_out(tmp_path):
    rows = [{"steps": i, "eval_return": [float(i), None if i > 1 else 0.0]} for i in range(4)]
    figures.learning_curve(rows, "two seeds", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5_000
