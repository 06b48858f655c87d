"""devices/cpu_devices.py: what programs for several devices of one CPU are compiled with, and what they then need."""

import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from ddpg_jax import DDPGConfig, LoopConfig, RunConfig, make_env
from ddpg_jax.core.loop import fitted_replay
from ddpg_jax.devices import cpu_devices
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs.programs import choose_layout, make_programs, seed_keys

CPU, GPU = (SimpleNamespace(platform=platform) for platform in ("cpu", "gpu"))
OFF = {cpu_devices.FLAG: ""}


@pytest.fixture(autouse=True)
def anew():
    """What XLA knows is asked again."""
    cpu_devices._is_known.cache_clear()
    yield
    cpu_devices._is_known.cache_clear()


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout(seed_shards=2, hardware=(CPU, CPU)), OFF),
        (Layout(data_shards=2, hardware=(CPU, CPU)), OFF),
        (Layout(hardware=(CPU,)), {}),
        (Layout(seed_shards=2, hardware=(GPU, GPU)), {}),
    ],
    ids=["seeds", "data", "one device", "GPUs"],
)
def test_several_devices_of_a_cpu_do_without_ynnpack(layout, expected):
    assert cpu_devices.cpu_options(layout) == (expected if cpu_devices._is_known() else {})


def test_a_choice_in_the_environment_is_kept(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--{cpu_devices.FLAG}=LIBRARY_FUSION_TYPE_DOT")
    assert cpu_devices.cpu_options(Layout(seed_shards=2, hardware=(CPU, CPU))) == {}


def test_an_xla_without_the_option_does_without(monkeypatch):
    monkeypatch.setattr(cpu_devices, "FLAG", "xla_cpu_no_such_option")
    assert cpu_devices.cpu_options(Layout(seed_shards=2, hardware=(CPU, CPU))) == {}


def compiled_chunk(devices):
    """The text of a compiled training program of two seeds."""
    env, config, run = make_env("Pendulum-v1"), DDPGConfig(norm="none"), RunConfig(seeds=2, devices=devices)
    loop = fitted_replay(LoopConfig(warmup_steps=256), 1000)
    layout = choose_layout(config, loop, run, env)
    programs = make_programs(env, "ddpg", loop, 1, layout)
    state = programs.shapes(jax.eval_shape(lambda: seed_keys(run)), config)
    return programs.chunk.lower(state, 256, 1, config).compile().as_text()


def test_the_options_reach_the_compiler():
    """One device has YNNPACK's products, if this XLA has any; two have none."""
    assert ("ynn_fusion" in compiled_chunk(1)) == cpu_devices._is_known()
    assert "ynn_fusion" not in compiled_chunk(2)


MEMORY = """
import jax
from ddpg_jax import LoopConfig, RunConfig
from ddpg_jax.algorithms.ddpg import DDPGConfig
from ddpg_jax.runs.plan import plan_run

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024

loop, run = LoopConfig(replay_capacity=10_000), RunConfig(seeds=2, devices=2, steps=20_000, out="none")
job = plan_run("ddpg", DDPGConfig(norm="none"), loop, run)
state, step = job.programs.start(job.keys(), job.config), job.plan.bounds[0]
for length in (20, 1_600):
    state, _ = job.programs.chunk(state, step, length, job.config)
    jax.block_until_ready(state)
    step += length
    print(resident())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_length_of_a_chunk():
    """With as many devices as cores, an update left 0.05 to 0.1 MB behind until its chunk ended: here 140 to 210 MB."""
    two = {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    inherited = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    cores = sorted(os.sched_getaffinity(0))[:2]
    run = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {cores})\n{MEMORY}"],
        capture_output=True,
        text=True,
        timeout=300,
        env=inherited | two,
    )
    assert run.returncode == 0, run.stderr
    before, after = map(float, run.stdout.split())
    assert after - before < 60
