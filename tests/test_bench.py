"""The bench: what it counts is what an update does, and its table is made of real measurements."""

import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scaling import launches
from toys import slow

from ddpg_jax import make_env
from ddpg_jax.cli.main import main
from ddpg_jax.core.types import Env, EnvState, Transition
from ddpg_jax.core.vector_env import vectorize
from ddpg_jax.devices.backend import cores
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs import bench, env_speed, load, matmul_limit, measure, signals
from ddpg_jax.runs.programs import make_programs, seed_keys

TINY = bench.Workload(hidden=(8, 8), batch_size=4, replay_capacity=64, warmup_steps=8)
BOUND = 600
WORKER = Path(__file__).parent.parent / "benchmarks" / "peers" / "ours" / "worker.py"


def flops(shapes, dims):
    (left, right), ((contracted, _), _) = shapes, dims
    return 2 * math.prod(left) * math.prod(right) / math.prod(left[axis] for axis in contracted)


def test_products_are_those_of_ddpgs_equations():
    """Counted by hand on Pendulum-v1 (3 observations, 1 action): B minibatch, H width.

    Forward passes: target actor, target critic, critic, actor, critic. Backward: the critic's weights and, below its
    first layer, inputs; then the critic's inputs down to state and action, and the actor's weights and inputs.
    """
    size, width = 64, 32
    actor, critic = 3 * width + width * width + width, 4 * width + width * width + width
    forward = 2 * actor + 3 * critic
    backward = critic + (width * width + width) + critic + actor + (width * width + width)
    found = matmul_limit.products(TINY._replace(hidden=(width, width), batch_size=size))
    total = sum(count * flops(*product) for product, count in found.items())
    assert total == 2 * size * (forward + backward)
    assert sum(found.values()) == 28


def test_products_inside_conditions_and_ensembles_are_found():
    single, twin = matmul_limit.products(TINY), matmul_limit.products(TINY._replace(algorithm="td3"))
    soft = matmul_limit.products(TINY._replace(algorithm="sac"))
    assert [sum(found.values()) for found in (single, twin, soft)] == [28, 28, 36]  # of each platform's program, once
    assert any(len(shapes[0]) == 3 or len(shapes[1]) == 3 for shapes, _ in twin)  # the two critics, batched


def test_a_product_is_timed_on_real_operands():
    """4,096 times as much work takes longer."""
    dims = (((1,), (0,)), ((), ()))
    small, large = (matmul_limit._product(Layout(), 1, ((n, n), (n, n)), dims)(20) for n in (32, 512))
    assert 0 < small < large


@pytest.mark.parametrize("mapping", ["vmap", *slow("sequential")])
def test_the_limit_counts_the_updates_of_every_seed(mapping):
    rate = matmul_limit.begin_limit(TINY._replace(seeds=4, seed_mapping=mapping))(3)
    assert (rate.updates, rate.env_steps) == (12, 0)


def test_advance_counts_what_it_trains(monkeypatch):
    """As many updates as Adam has taken steps."""
    trained = []

    def recorded(*args):
        phases = make_programs(*args)
        return phases._replace(chunk=lambda *inputs: trained.append(phases.chunk(*inputs)) or trained[-1])

    monkeypatch.setattr(bench, "make_programs", recorded)
    advance = bench.begin(TINY._replace(seeds=2, num_envs=4, updates_per_step=3))
    rate = advance(5)
    assert (rate.updates, rate.env_steps) == (2 * 5 * 3, 2 * 5 * 4)
    assert rate.seconds > 0
    steps = optax.tree.get(trained[0][0].learner.opt_state["critic"], "count")
    assert np.sum(steps) == rate.updates


@pytest.mark.parametrize("restart", ["pool", None])
def test_rollouts_restart_or_never_do(restart):
    env = make_env("lqr", episode_length=3)
    advance = env_speed.random_steps(env, restart, 4)
    assert advance(7) > 0
    endless = env_speed.endless(env)
    _, transition = endless.step(jax.random.key(1), endless.reset(jax.random.key(0)), jnp.zeros(1))
    assert not bool(transition.truncated)
    assert float(transition.discount) == 1


def test_the_table_has_a_row_per_workload(monkeypatch, capsys):
    monkeypatch.setattr(bench, "workloads", lambda: {"tiny": TINY})
    assert main(["bench", "--seconds", "0.1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["workload"] for row in rows] == ["tiny", "1024 envs alone"]
    for row in rows:
        assert row["share"] > 0
    assert rows[0]["share"] == pytest.approx(rows[0]["updates_per_s"] / rows[0]["limit_updates_per_s"])


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "1e308"])
def test_the_bench_refuses_impossible_times(seconds, capsys):
    assert main(["bench", "--seconds", seconds]) == 2
    assert "seconds must be above 0" in capsys.readouterr().err


COMBINATION = {"hidden": [8, 8], "batch_size": 4, "replay_capacity": 2_000}


def test_a_row_for_each_combination_of_seeds_and_environments(monkeypatch):
    """Rates are of all seeds: of each round so many updates and steps as many seeds and environments make."""
    lengths = []

    def begun(programs, state, config, loop, run):
        lengths.append((run.seeds, loop.num_envs))
        return lambda length: matmul_limit.Rate(6 * run.seeds, 6 * run.seeds * loop.num_envs, 2.0)

    monkeypatch.setattr(measure, "training", begun)
    monkeypatch.setattr(measure, "paced", lambda advance, seconds: 6)
    rows = measure.measure("ddpg", "lqr", num_envs=[1, 4], seeds=2, seconds=0.1, **COMBINATION)
    assert lengths == [(2, 1), (2, 4)]
    for row, envs in zip(rows, (1, 4), strict=True):
        assert (row["seeds"], row["num_envs"], row["hidden"]) == (2, envs, [8, 8])
        assert (row["updates_per_s_of_all_seeds"], row["env_steps_per_s_of_all_seeds"]) == (6, 6 * envs)
        assert 0 < row["compile_seconds"] < 100
        state = 2_000 * 4 * (2 + 2 + 1 + 1 + 1) * 2 // row["devices"]  # the replay of both seeds, in float32
        assert state < row["compiled_bytes_per_device"] < 3 * state
        assert row["peak_bytes_in_use"] is None or row["peak_bytes_in_use"] > state


def test_a_bench_that_is_ended_shows_the_rows_that_it_has(capsys, monkeypatch):
    def found(seconds):
        yield {"workload": "first", "env_steps_per_s": 7.0, "updates_per_s": 7.0, "other_cores": 0.0}
        signals._undo[-1]()  # as on ctrl-C
        assert "first" in capsys.readouterr().out
        yield {"workload": "second", "env_steps_per_s": 8.0, "updates_per_s": 8.0, "other_cores": 0.0}

    monkeypatch.setattr(bench, "table", found)
    assert main(["bench", "--seconds", "0.1", "--json"]) == 0
    assert [row["workload"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["first", "second"]


def test_the_command_prints_what_is_measured(capsys, monkeypatch):
    """The row of one combination as JSON and as a table, with a mark where others used the machine."""
    measured = {"devices": 1, "seed_mapping": "vmap", "compile_seconds": 2.0, "from_cache": False}
    measured |= {"env_steps_per_s_of_all_seeds": 1234.5, "updates_per_s_of_all_seeds": 99.0}
    measured |= {"compiled_bytes_per_device": 3 * 2**20, "peak_bytes_in_use": None, "other_cores": 64.0}
    monkeypatch.setattr(measure, "_measured", lambda job, seconds: dict(measured))
    words = "--algorithm sac --env lqr --num-envs 1 --seeds 1 2 --hidden 8 8 --batch-size 4"
    command = ["bench", *words.split()]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["algorithm"], row["seeds"]) for row in rows] == [("sac", 1), ("sac", 2)]
    assert rows[0].items() >= measured.items()
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("sac on lqr, hidden 8 8", "1,234", "3.0 MiB", "│ 2 * │", "used up to 64.0 cores meanwhile"):
        assert words in printed


def test_what_other_processes_use_is_what_is_left_of_all_time(monkeypatch, tmp_path):
    """Two cores for a second of ours and three of others, in two seconds; without /proc, the average load."""
    stat, ticks = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    times = SimpleNamespace(user=1.0, system=0.0, children_user=0.0, children_system=0.0)
    now = [10.0]
    monkeypatch.setattr(load, "STAT", stat)
    monkeypatch.setattr(load.os, "times", lambda: times)
    monkeypatch.setattr(load.os, "getloadavg", lambda: (2.5, 0.0, 0.0))
    monkeypatch.setattr(load.time, "perf_counter", lambda: now[0])
    stat.write_text(f"cpu  {5 * ticks} 0 0 99 99 0 0 0 0 0\n")
    counted = load.Load()
    now[0], times.user = 12.0, 2.0
    stat.write_text(f"cpu  {6 * ticks} {2 * ticks} {ticks} 999 999 0 0 0 0 0\n")
    assert counted.others() == pytest.approx(1.5)
    stat.unlink()
    assert counted.others() == pytest.approx(2.0)
    monkeypatch.setattr(load.os, "cpu_count", lambda: 8)
    assert [load.is_busy(others) for others in (None, 0.7, 0.9)] == [False, False, True]


BAD_BENCHES = {
    "--algorithm ppo": "there is no algorithm 'ppo', which is",
    "--num-envs 1 0": "num_envs must be at least 1, not 0.",
    "--seeds": "seeds must name at least one number, not ().",
    "--seeds 1 100000000": "seeds must fit in memory: 100,000,000 seeds take",
    "--hidden 0": "hidden must be at least 1, not (0,).",
    "--env HalfCheetah-v4": "here it is brax/halfcheetah",
    "--batch-size 200000": "batch_size must be at most the 100,000 transitions",
    "--updates-per-step -1": "updates_per_step must be at least 1, not -1.",
}


@pytest.mark.parametrize("words", BAD_BENCHES)
def test_a_combination_that_cannot_be_trained_is_refused_before_anything_is_measured(words, capsys, monkeypatch):
    monkeypatch.setattr(measure, "_measured", None)
    assert main(["bench", *words.split()]) == 2
    printed = capsys.readouterr()
    assert BAD_BENCHES[words] in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)


@pytest.mark.slow
def test_our_worker_speaks_the_peers_protocol():
    """The side-by-side benchmark's own member, at toy size."""
    config = {"hidden": [8, 8], "batch_size": 4, "replay_capacity": 64, "warmup_steps": 8, "seeds": 2, "chunk": 5}
    run = subprocess.run(
        [sys.executable, str(WORKER), json.dumps(config)],
        input="0.05\n",
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"STARTED_AT": str(time.time())},
    )
    hello, answer = (json.loads(line) for line in run.stdout.splitlines())
    assert hello["ready"]
    assert hello["first_step_s"] > 0
    assert answer["updates"] == answer["env_steps"] > 0
    assert answer["seconds"] >= 0.05


def test_a_worker_reports_what_it_cannot_do():
    config = {"hidden": [8, 8], "batch_size": 0, "replay_capacity": 64, "warmup_steps": 8}
    run = subprocess.run([sys.executable, str(WORKER), json.dumps(config)], capture_output=True, text=True, timeout=300)
    assert "batch_size" in json.loads(run.stdout)["error"]
    assert run.returncode == 1


@pytest.fixture(scope="module")
def launched() -> Counter:
    """As users compile it, which the tests do not."""
    emitters = "xla_cpu_use_fusion_emitters"
    options = {emitters: True} if emitters in os.environ["XLA_FLAGS"] else None
    return launches(bench.SMALL._replace(replay_capacity=1000), options)


def test_the_chunk_launches_no_more_than_it_used_to(launched):
    """572 on jax 0.10.2 for a CPU; what an accelerator feels of a small agent is how many kernels it launches."""
    if jax.default_backend() != "cpu":
        pytest.skip("recorded for a CPU")
    assert launched["dot"] <= 29
    assert launched["while"] <= 14
    assert sum(launched.values()) <= BOUND


def test_nothing_leaves_the_device_inside_a_chunk():
    """No callback, no transfer to the host: neither in what is traced nor in what is compiled."""
    env, config, loop, run = TINY.parts()
    phases = make_programs(env, "ddpg", loop, 1)
    state = phases.shapes(jax.eval_shape(lambda: seed_keys(run)), config)
    lowered = phases.chunk.lower(state, 0, 1, config)
    for text in (lowered.as_text(), lowered.compile().as_text()):
        for word in ("callback", "infeed", "outfeed", "send-", "recv-"):
            assert word not in text, word


def test_draws_are_uniform_and_below_their_limit():
    from scipy.stats import chisquare

    from ddpg_jax.core.rng import randint

    drawn = np.asarray(randint(jax.random.key(3), (70_000,), 7))
    assert drawn.min() == 0
    assert chisquare(np.bincount(drawn, minlength=7)).pvalue > 0.001
    assert set(np.asarray(randint(jax.random.key(3), (50,), jnp.int32(1)))) == {0}


def test_vector_steps_draw_their_own_keys():
    """No two environments of a step share a key, nor does any share one with the reset or with the restart."""
    spec = make_env("lqr").spec
    reset = lambda key: EnvState(jax.random.bits(key), jnp.zeros(spec.obs_shape), jnp.int32(0))  # noqa: E731

    def step(key, state, action):
        ended = jnp.zeros(())  # a discount of 0
        drawn = jax.random.bits(key)
        return state, Transition(state.obs, action, jnp.zeros(()), ended, jnp.zeros((), bool), next_obs=drawn)

    vec = vectorize(Env(reset, step, spec), 8, "every-step")
    begun = vec.reset(jax.random.key(0))
    state, transition, _ = vec.step(jax.random.key(1), begun, jnp.zeros((8, 1)))
    assert len(set(np.concatenate([begun.env.inner, transition.next_obs, state.env.inner]).tolist())) == 24


@pytest.mark.slow
def test_the_command_line_deals_two_seeds_to_two_cores(tmp_path):
    """JAX must be set up before anything starts it."""
    words = "train ddpg --env lqr --seeds 2 --steps 12 --warmup-steps 10 --evaluations 1 --eval-episodes 1 --hidden 4"
    command = [sys.executable, "-m", "ddpg_jax", *words.split(), "--batch-size", "2", "--out", str(tmp_path / "run")]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment | {"JAX_PLATFORMS": "cpu"}
    )
    assert run.returncode == 0, run.stderr
    assert ("2 devices" in run.stdout) == (cores() > 1)
