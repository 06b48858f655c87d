"""Memory of a run: what it takes, by setting, and that nothing is counted which a compiled program does not need."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import spec

from ddpg_jax import LoopConfig, RunConfig, SettingError, make_env
from ddpg_jax.core.settings import INT32
from ddpg_jax.devices.backend import nbytes, refuse_exhaustion
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.memory import check_episodes, check_fits, patches
from ddpg_jax.runs.plan import plan_run
from ddpg_jax.runs.programs import make_programs, seed_keys
from ddpg_jax.runs.registry import algorithms
from ddpg_jax.runs.run_memory import run_memory

SMALL = {
    "hidden": (4,),
    "batch_size": 16,
    "replay_capacity": 1000,
    "warmup_steps": 100,
    "env": "lqr",
    "steps": 2000,
    "evaluations": 1,
    "eval_episodes": 1,
}


def settings(algorithm="ddpg", **changed):
    """(config, loop, run) of a small run with these settings changed."""
    wanted = SMALL | changed
    kinds = (algorithms()[algorithm].config, LoopConfig, RunConfig)
    return [kind(**{f.name: wanted[f.name] for f in dataclasses.fields(kind) if f.name in wanted}) for kind in kinds]


def shapes(algorithm, config, loop, run, layout):
    env = make_env(run.env, **{"action_repeat": run.action_repeat} if run.action_repeat else {})
    programs = make_programs(env, algorithm, loop, run.eval_episodes, layout)
    return env, programs, programs.shapes(jax.eval_shape(lambda: seed_keys(run)), config)


def memory_of(algorithm="ddpg", mapping="vmap", **changed):
    layout = Layout(mapping)
    config, loop, run = settings(algorithm, **changed)
    env, _, state = shapes(algorithm, config, loop, run, layout)
    return run_memory(state, env.spec, config, loop, run, layout), state


LARGE = [
    ("ddpg", {"hidden": (10**8, 10**8)}, "networks of the widths (100000000, 100000000) for 1 seed take"),
    ("ddpg", {"replay_capacity": 10**9, "steps": 2 * 10**9}, "1,000,000,000 transitions for 1 seed take"),
    ("ddpg", {"n_step": 10**9}, "returns over 1,000,000,000 steps for 1 seed take"),
    ("ddpg", {"eval_episodes": 5 * 10**8}, "500,000,000 episodes for 1 seed take"),
    ("ddpg", {"pool_size": INT32}, "2,147,483,647 initial states for 1 seed take"),
    ("ddpg", {"num_envs": 10**9, "steps": 2 * 10**9}, "1,000,000,000 environments for 1 seed take"),
    ("ddpg", {"num_envs": 5 * 10**8, "steps": 2 * 10**9, "reset_mode": "cached"}, "500,000,000 environments"),
    ("d4pg", {"atoms": 10**8}, "100,000,000 atoms for 1 seed take"),
    ("tqc", {"quantiles": 10**8}, "100,000,000 quantiles of 5 critics for 1 seed take"),
    ("ddpg", {"seeds": 10**7}, "10,000,000 seeds take"),
    ("ddpg", {"batch_size": 10**8, "replay_capacity": 10**8, "warmup_steps": 10**8, "steps": 10**9, "hidden": (64,)},
     "minibatches of 100,000,000 transitions for 1 seed take"),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "changed", "words"), LARGE)
def test_what_is_too_large_is_named(algorithm, changed, words, monkeypatch):
    """By the setting that takes most, in one sentence; nothing is compiled."""
    monkeypatch.setattr("ddpg_jax.runs.memory.memory_limit", lambda devices: 2**34)
    with pytest.raises(SettingError) as refused:
        plan_run(algorithm, *settings(algorithm, **changed))
    name = next(iter(changed))
    assert str(refused.value).startswith(f"{name} must fit in memory: {words}")
    assert str(refused.value).endswith("and there are 16.00 GiB.")


def test_states_are_counted_to_the_byte():
    memory, state = memory_of(seeds=3)
    assert sum(share.bytes for share in memory.always) == nbytes(state)
    sequential, _ = memory_of(seeds=3, mapping="sequential")
    assert sum(share.bytes for share in sequential.always) * 3 == nbytes(state) * 4


@pytest.mark.parametrize("name", ["batch_size", "n_step", "num_envs", "pool_size", "eval_episodes", "action_repeat"])
def test_the_share_of_a_setting_grows_with_it(name):
    """And belongs to it alone: what is added is in the share with its name."""
    small = {"batch_size": 500, "n_step": 50, "num_envs": 500, "pool_size": 500, "eval_episodes": 500}
    small |= {"action_repeat": 25, "replay_capacity": 1000, "warmup_steps": 1000, "steps": 10_000}

    def share(value):
        memory, _ = memory_of(**small | {name: value})
        sizes = {one.setting: 0 for phase in memory.phases for one in (*phase, *memory.always)}
        for phase in (memory.always, *memory.phases):
            for one in phase:
                sizes[one.setting] += one.bytes
        return sizes

    before, after = share(small[name]), share(2 * small[name])
    assert after[name] > 1.5 * before[name]
    # An action is repeated in every environment and episode, and n steps are read for every transition
    bound = {"batch_size": {"n_step"}, "num_envs": {"action_repeat"}, "eval_episodes": {"action_repeat"}}
    others = before.keys() - {name} - bound.get(name, set())
    assert {other: after[other] for other in others} == {other: before[other] for other in others}


def test_patches_of_images_are_counted():
    """Of 3 x 3 numbers in every channel, for outputs of 31 x 31, 15 x 15 and 7 x 7."""
    image = spec((64, 64, 3), 1, np.uint8)._replace(image=True)
    assert patches(image) == 9 * (31**2 * 3 + 15**2 * 32 + 7**2 * 32)
    assert patches(spec((3,), 1)) == 0


def test_phases_are_not_added_up():
    """An update and an evaluation are never in memory together."""
    memory, _ = memory_of()
    always, (first, *_, last) = sum(share.bytes for share in memory.always), memory.phases
    assert memory.bytes < always + sum(share.bytes for share in (*first, *last))
    assert sum(share.bytes for share in memory.shares) == memory.bytes


COMPILED = [
    ("ddpg", {"hidden": (256, 256), "batch_size": 20_000}),
    ("ddpg", {"hidden": (2000, 2000)}),
    ("ddpg", {"hidden": (16,) * 20, "batch_size": 10_000}),
    ("ddpg", {"hidden": (), "batch_size": 20_000}),
    ("td3", {"hidden": (256, 256), "batch_size": 20_000}),
    ("sac", {"hidden": (256, 256), "batch_size": 20_000}),
    ("d4pg", {"hidden": (8, 8), "batch_size": 20_000, "atoms": 500}),
    ("tqc", {"hidden": (64, 64), "batch_size": 5000}),
    ("tqc", {"hidden": (8, 8), "batch_size": 1000, "critics": 1, "quantiles": 300}),
    ("dpg-on-policy", {"hidden": (64, 64), "batch_size": 20_000}),
    ("copdac-q", {"hidden": (64, 64), "batch_size": 20_000}),
    ("ddpg", {"batch_size": 256, "n_step": 10_000}),
    ("ddpg", {"num_envs": 100_000, "hidden": (64, 64)}),
    ("ddpg", {"num_envs": 100_000, "hidden": (64, 64), "norm": "none"}),
    ("ddpg", {"num_envs": 100_000, "hidden": (32, 64, 128)}),
    ("ddpg", {"eval_episodes": 100_000, "hidden": (64, 64)}),
    ("ddpg", {"pool_size": 1_000_000}),
    ("ddpg", {"num_envs": 10_000, "action_repeat": 40}),
    ("ddpg", {"seeds": 10, "hidden": (128, 128), "batch_size": 1000, "seed_mapping": "vmap"}),
    ("ddpg", {"seeds": 10, "hidden": (128, 128), "batch_size": 1000, "seed_mapping": "sequential"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "changed"), COMPILED)
def test_nothing_is_counted_that_a_program_does_not_need(algorithm, changed):
    """So that nothing is refused which would run: XLA's own figures are larger, though not by an order of magnitude."""
    size = max(changed.get("batch_size", 0), 1000)
    config, loop, run = settings(algorithm, **{"replay_capacity": size, "warmup_steps": size} | changed)
    layout = Layout("vmap" if run.seed_mapping == "vmap" else "sequential")
    env, programs, state = shapes(algorithm, config, loop, run, layout)
    *training, evaluation = (
        sum(share.bytes for share in phase) for phase in run_memory(state, env.spec, config, loop, run, layout).phases
    )
    step, keys = jax.ShapeDtypeStruct((), jnp.int32), jax.eval_shape(lambda: seed_keys(run))
    calls = [
        (programs.chunk, (state, step, step, config), max(training)),
        (programs.evaluate, ((state.learner, keys, {}), step, config), evaluation),
    ]
    for function, args, counted in calls:
        needed = function.lower(*args).compile().memory_analysis().temp_size_in_bytes
        assert counted <= needed + 2**16
        assert counted >= needed / 10 - 2**20


def test_episodes_are_counted_before_they_are_played(monkeypatch):
    env = make_env("lqr")
    monkeypatch.setattr("ddpg_jax.runs.memory.memory_limit", lambda devices: 2**30)
    check_episodes(env, settings()[0], 1000)
    with pytest.raises(
        SettingError, match="episodes must fit in memory: 1,000,000,000 whole episodes for 2 seeds take"
    ):
        check_episodes(env, settings()[0], 10**9, seeds=2)
    with pytest.raises(SettingError, match="episodes must fit in memory: 100,000 whole episodes for 1 seed take"):
        check_episodes(env, settings()[0], 100_000, steps=10_000, select=lambda state: state)


def test_a_run_fits_to_the_byte(monkeypatch):
    memory, _ = memory_of()
    monkeypatch.setattr("ddpg_jax.runs.memory.memory_limit", lambda devices: memory.bytes)
    check_fits(memory, 1)
    monkeypatch.setattr("ddpg_jax.runs.memory.memory_limit", lambda devices: memory.bytes - 1)
    with pytest.raises(SettingError, match="must fit in memory"):
        check_fits(memory, 1)


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12 bytes.\nand more"),
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(float)),
    ],
)
def test_a_failed_allocation_is_one_sentence(error):
    with (
        pytest.raises(SettingError, match=r"^the settings must fit in memory, and there was not enough") as refused,
        refuse_exhaustion(),
    ):
        raise error
    assert "\n" not in str(refused.value)


def test_a_real_allocation_that_fails_is_one_sentence():
    with pytest.raises(SettingError, match=re.escape("the settings must fit in memory")), refuse_exhaustion():
        np.zeros(2**50)


def test_other_errors_pass():
    for error in (jax.errors.JaxRuntimeError("INTERNAL: a defect"), ValueError("a defect"), SettingError("steps")):
        with pytest.raises(type(error), match=str(error)), refuse_exhaustion():
            raise error
