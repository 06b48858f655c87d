"""parallel.py: devices that share an agent compute what one device would, on eight devices of the host."""

import dataclasses
import functools
import shlex

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from toys import slow, slow_but_for, spec, wandering

from ddpg_jax import DDPGConfig, LoopConfig, ddpg, load_policy, make_env
from ddpg_jax.cli.main import main
from ddpg_jax.core.collectives import DATA
from ddpg_jax.core.exploration import noise_schedule
from ddpg_jax.core.loop import KEYS, trainer
from ddpg_jax.core.replay import stored_transitions
from ddpg_jax.core.types import Transition
from ddpg_jax.devices.data_parallel import per_device_loop
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs import metrics
from ddpg_jax.runs.config import RunConfig
from ddpg_jax.runs.programs import choose_layout, make_programs
from ddpg_jax.runs.registry import algorithms

D = 8
if len(jax.devices()) < D:
    pytest.skip("needs eight devices", allow_module_level=True)

KEY = jax.random.key(0)
SPEC = spec((3,), 2)
QUICKLY = {"xla_backend_optimization_level": 0}
SETTINGS = {
    "ddpg": {"normalize_obs": True, "clip_norm": 0.1, "weight_decay": 0.01},
    "ddpg with batch norm": {"norm": "batch", "optimizer": "sgd"},
    "td3": {"target_noise": 0.0},
    "sac": {},
    "tqc": {"critics": 3, "quantiles": 5},
    "d4pg": {},
    "dpg-off-policy": {"optimizer": "sgd"},
    "copdac-q": {},
    "copdac-gq": {"optimizer": "sgd"},
}


def batch(size, key=KEY):
    keys = jax.random.split(key, 4)
    return Transition(
        obs=3 + jax.random.normal(keys[0], (size, 3)),
        action=jax.random.uniform(keys[1], (size, 2), minval=-1),
        reward=jax.random.normal(keys[2], (size,)),
        discount=(jnp.arange(size) % 3 > 0).astype(jnp.float32),
        truncated=jnp.zeros(size, bool),
        next_obs=3 + jax.random.normal(keys[3], (size, 3)),
    )


def on_devices(function, *divided):
    """function(*arguments) on D devices; of the arguments, those marked True are divided between them."""
    mesh = jax.make_mesh((D,), (DATA,), (AxisType.Auto,), devices=jax.devices()[:D])
    specs = tuple(PartitionSpec(DATA) if each else PartitionSpec() for each in divided)
    shared = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(DATA), check_vma=False)
    return jax.jit(shared, compiler_options=QUICKLY)


def agent_of(name):
    algorithm = algorithms()[name.split()[0]]
    return algorithm.make(algorithm.config(hidden=(8,), **SETTINGS[name]), SPEC)


def updates(agent):
    """Observing and two updates, with statistics and optimizer states that are not fresh; leaves lead with [1]."""

    def run(learner, data, key):
        learner = agent.observe(learner, data)
        for update_step in (0, 1):
            learner, _ = agent.update(learner, data, key, jnp.int32(update_step))
        return jax.tree.map(lambda leaf: leaf[None], learner)

    return run


@pytest.mark.parametrize("name", slow_but_for(SETTINGS, "ddpg", "ddpg with batch norm", "sac"))
def test_devices_update_as_one_would_with_all_their_data(name):
    """Parameters, targets, optimizers and statistics; all devices alike to the last bit.

    SAC and TQC draw from their policy: there, all shares and draws are the same, and one share stands for all.
    """
    agent, data = agent_of(name), batch(4 * D)
    learner = jax.jit(agent.init)(KEY)
    drawn = name in ("sac", "tqc")
    if drawn:
        data = jax.tree.map(lambda leaf: jnp.tile(leaf[:4], (D,) + (1,) * (leaf.ndim - 1)), data)
    whole = jax.tree.map(lambda leaf: leaf[:4], data) if drawn else data
    expected = jax.jit(updates(agent), compiler_options=QUICKLY)(learner, whole, KEY)
    got = on_devices(updates(agent), False, True, False)(learner, data, KEY)
    start = jax.tree.leaves(learner)
    for ours, one, before in zip(jax.tree.leaves(got), jax.tree.leaves(expected), start, strict=True):
        assert (np.asarray(ours) == np.asarray(ours)[:1]).all()
        scale = np.abs(np.asarray(one[0]) - np.asarray(before)).max() + 1e-6  # of how far it has moved
        np.testing.assert_allclose(ours[0], one[0], rtol=1e-4, atol=2e-3 * scale)


def test_statistics_are_those_of_the_whole_batch():
    """And not a mean of the devices' variances, whose means differ."""
    agent = agent_of("ddpg")
    data = batch(2 * D)
    data = dataclasses.replace(data, obs=data.obs + 10 * jnp.arange(2 * D)[:, None])
    learner = jax.jit(agent.init)(KEY)

    def observe(learner, data):
        return jax.tree.map(lambda leaf: leaf[None], agent.observe(learner, data).normalizer)

    got = on_devices(observe, False, True)(learner, data)
    assert (got.count == 2 * D).all()
    for device in range(D):
        np.testing.assert_allclose(got.mean[device], data.obs.mean(0), rtol=1e-5)
        np.testing.assert_allclose(got.variance[device], data.obs.var(0), rtol=1e-4)


def test_schedules_count_the_environments_of_all_devices():
    """Noise that ends after 80 environment steps ends after 10 steps of 8 environments, one on each device."""
    config = DDPGConfig(hidden=(4,), noise_scale=1.0, noise_final=0.0, noise_steps=80)
    agent = algorithms()["ddpg"].make(config, SPEC)
    learner, obs = jax.jit(agent.init)(KEY), jnp.ones((D, 3))

    def act(learner, obs, clock):
        return agent.explorer.act(learner, (), obs, jnp.zeros(1, bool), clock, KEY)[0]

    tried = on_devices(act, False, True, False)
    np.testing.assert_allclose(tried(learner, obs, jnp.int32(10)), agent.act(learner, obs), atol=1e-6)
    assert not np.allclose(tried(learner, obs, jnp.int32(5)), agent.act(learner, obs), atol=1e-2)


def test_noise_is_spread_over_the_environments_of_all_devices():
    """One environment on each: σ grows from device to device as it would from environment to environment."""
    scale = noise_schedule(DDPGConfig(noise_scale=0.1, noise_scale_max=0.8))
    got = on_devices(lambda clock: scale(clock, 1), False)(jnp.int32(0))
    np.testing.assert_allclose(got[:, 0], 0.1 * np.arange(1, D + 1), rtol=1e-5)


LOOP = LoopConfig(num_envs=D, batch_size=2 * D, replay_capacity=400, warmup_steps=80, reset_mode="every-step")
RUN_KEYS = jax.vmap(jax.random.key)(jnp.arange(2))


ALONE = Layout("sequential", 1, 4), 1  # seed 1, on four devices


@functools.cache
def trained(layout, seeds):
    """State and metrics of the last seeds of two after 20 vector steps."""
    config = DDPGConfig(hidden=(8,), normalize_obs=True)
    phases = make_programs(wandering(), "ddpg", LOOP, 2, layout)
    return phases.chunk(phases.start(RUN_KEYS[-seeds:], config), 10, 20, config)


def shards_of_replay(state):
    """The stored observations [S, devices of an agent, rows * 2, 2]; the devices have 2 environments each."""
    read = functools.partial(stored_transitions, wandering().spec, 2, 100)
    shards = jax.tree.map(lambda leaf: leaf.reshape(len(leaf), 4, -1, *leaf.shape[2:]), state.memory)
    return np.asarray(jax.vmap(jax.vmap(read))(jax.device_get(shards)).obs)


def test_an_axis_of_somebodys_own_shares_no_agent():
    """Whatever it is called: independent seeds are mapped over it."""
    agent = agent_of("ddpg")
    learners = jax.vmap(agent.init)(RUN_KEYS)

    def update(learner):
        return agent.update(learner, batch(8), KEY, 0)[0].params

    plain = jax.vmap(update)(learners)
    for name in ("data", "batch", "devices", "seeds"):
        chex.assert_trees_all_equal(jax.vmap(update, axis_name=name)(learners), plain)


def test_devices_draw_with_keys_that_no_other_use_has():
    """`fold_in(key, i)` is `split(key)[i]`, so small numbers are taken by the phases of the run."""
    parts = jax.random.key_data(jax.random.split(KEY, KEYS))
    own = jax.random.key_data(jax.vmap(lambda i: jax.random.fold_in(KEY, KEYS + i))(jnp.arange(D)))
    assert not (parts[:, None] == own[None]).all(-1).any()
    shared = make_programs(wandering(), "ddpg", LOOP, 2, Layout("sequential", 1, 4))
    reset = shared.init((RUN_KEYS[1:], {}), DDPGConfig(hidden=(8,))).env.env.obs[0]
    keys = [jax.random.fold_in(RUN_KEYS[1], KEYS + i) for i in range(4)]
    alone = trainer(wandering(), ddpg(DDPGConfig(hidden=(8,)), wandering().spec), per_device_loop(LOOP, 4)).init
    alone = [alone(key).env.env.obs for key in keys]
    np.testing.assert_array_equal(np.asarray(reset).reshape(-1, 2), np.concatenate(alone))


def test_a_run_shared_by_devices_keeps_one_learner_and_many_environments():
    """Replicas are equal bit by bit; every device has environments, data and draws of its own."""
    state, totals = trained(*ALONE)
    for leaf in jax.tree.leaves(state.learner):
        replicas = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(replicas) == 4
        assert all(np.array_equal(replica, replicas[0]) for replica in replicas)
    alone = make_programs(wandering(), "ddpg", LOOP, 2).init((RUN_KEYS[1:], {}), DDPGConfig(hidden=(8,)))
    np.testing.assert_array_equal(jax.random.key_data(state.keys), jax.random.key_data(alone.keys))
    assert state.learner.normalizer.count == 30 * D
    obs = shards_of_replay(state)
    assert obs.shape == (1, 4, 100, 2)
    stored = obs.reshape(4, 50, 2, 2)[:, :30].reshape(-1, 2)  # [devices, rows, environments of one, dimensions]
    assert len(np.unique(stored, axis=0)) == 30 * D
    assert not obs.reshape(4, 50, 2, 2)[:, 30:].any()
    np.testing.assert_allclose(state.learner.normalizer.mean[0], stored.mean(0), rtol=1e-4, atol=1e-5)
    assert totals["critic/loss"][1] == 20 * 4
    assert totals["episode_return"][1] == sum(step % 7 == 0 for step in range(11, 31)) * D


@pytest.mark.parametrize("layout", [Layout("vmap", 2, 4), *slow(Layout("sequential", 1, 4))])
def test_seeds_and_shared_agents_mix_on_a_mesh_of_two_axes(layout):
    """Seed 1 among two is seed 1 alone, to rounding."""
    alone, _ = trained(*ALONE)
    among, _ = trained(layout, 2)
    for one, two in zip(jax.tree.leaves(alone.learner), jax.tree.leaves(among.learner), strict=True):
        np.testing.assert_allclose(two[1], one[0], rtol=1e-3, atol=1e-5)
    obs, obs_alone = shards_of_replay(among), shards_of_replay(alone)
    np.testing.assert_allclose(obs[1], obs_alone[0], rtol=1e-3, atol=1e-4)
    assert not np.allclose(obs[0], obs[1])


def test_a_portion_has_the_same_clock():
    """Rows of the ring and vector steps of the warm-up are those of the whole loop."""
    mine = per_device_loop(LoopConfig(num_envs=6, batch_size=9, replay_capacity=100, warmup_steps=20), 3)
    assert (mine.num_envs, mine.batch_size) == (2, 3)
    assert (mine.replay_capacity, mine.warmup_steps) == (17 * 2, 4 * 2)


@pytest.mark.parametrize(
    ("seeds", "devices", "expected"),
    [
        (8, None, (8, 1)),
        (3, None, (3, 1)),
        (1, 8, (1, 8)),
        (2, 8, (2, 4)),
        (8, 4, (4, 1)),
        (6, 4, (2, 2)),
        (16, 8, (8, 1)),
    ],
)
def test_devices_are_first_given_to_seeds(seeds, devices, expected):
    run = RunConfig(seeds=seeds, devices=devices)
    layout = choose_layout(DDPGConfig(), LoopConfig(num_envs=8), run, make_env("lqr"))
    assert (layout.seed_shards, layout.data_shards) == expected


REFUSED = {
    "devices must be at most 8, the number of devices here, not 9.": "--devices 9",
    "devices must be at least 1, not 0.": "--devices 0",
    "num_envs must be a multiple of 4, the number of devices of a data parallel agent, not 6.": (
        "--devices 4 --num-envs 6"
    ),
    "batch_size must be a multiple of 4, the number of devices of a data parallel agent, not 6.": (
        "--devices 4 --num-envs 4 --batch-size 6"
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_shared_is_refused(sentence, tmp_path, capsys):
    command = f"train ddpg --env lqr {REFUSED[sentence]} --out {tmp_path / 'run'}"
    assert main(shlex.split(command)) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"
    assert not (tmp_path / "run").exists()


def test_from_the_command_line(tmp_path, capsys):
    """A run of one seed on four devices, its files, its policy."""
    command = (
        "train td3 --env lqr --episode-length 10 --devices 4 --num-envs 8 --batch-size 8 --hidden 4 --steps 160 "
        f"--warmup-steps 80 --replay-capacity 200 --evaluations 2 --eval-episodes 2 --out {tmp_path} "
        "--noise-scale-max 0.8 --noise-final 0 --noise-steps 320"
    )
    assert main(shlex.split(command)) == 0
    assert "on 4 devices, each agent data parallel over 4" in " ".join(capsys.readouterr().out.split())
    rows = metrics.read_rows(tmp_path / "metrics.jsonl", 1)
    assert [row["steps"] for row in rows] == [80, 120, 160]
    sigma = [row["noise_scale"][0] for row in rows]  # from 0.1 to 0.8 over 8 environments, and to 0 after 320 steps
    np.testing.assert_allclose(sigma, 0.45 * (1 - np.array([80, 120, 160]) / 320), rtol=1e-5)
    assert load_policy(tmp_path)(np.zeros(2, np.float32)).shape == (1,)
