"""devices/cuda_graph.py: when programs for GPUs are made one CUDA graph each, and what happens without XLA's option."""

import warnings
from types import SimpleNamespace

import pytest

from ddpg_jax import LoopConfig, RunConfig, TD3Config, make_env
from ddpg_jax.devices import cuda_graph
from ddpg_jax.devices.layout import Layout
from ddpg_jax.runs import programs

GPU, AMD, CPU = (
    SimpleNamespace(platform=platform, client=SimpleNamespace(platform_version=version))
    for platform, version in (("gpu", "PJRT C API\ncuda 12090"), ("gpu", "PJRT C API\nrocm 70000"), ("cpu", "cpu"))
)


@pytest.fixture(autouse=True)
def anew():
    """What XLA knows is asked again."""
    cuda_graph._known_options.cache_clear()
    yield
    cuda_graph._known_options.cache_clear()


def test_programs_for_gpus_have_the_options_and_others_none():
    options = cuda_graph.cuda_graph_options(GPU)
    assert "WHILE" in options[cuda_graph.FLAG]
    assert "CONDITIONAL" in options[cuda_graph.FLAG]
    assert cuda_graph.cuda_graph_options(CPU) is None
    assert cuda_graph.cuda_graph_options(AMD) is None


def test_a_choice_in_the_environment_is_kept(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--{cuda_graph.FLAG}=")
    assert cuda_graph.cuda_graph_options(GPU) is None


def test_without_the_option_a_run_goes_on_and_says_so_once(monkeypatch):
    monkeypatch.setattr(cuda_graph, "FLAG", "xla_gpu_no_such_option")
    with pytest.warns(UserWarning, match="this version of XLA makes no CUDA graphs of them .*xla_gpu_no_such_option"):
        assert cuda_graph.cuda_graph_options(GPU) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cuda_graph.cuda_graph_options(GPU) is None


@pytest.mark.parametrize("wanted", [True, False])
def test_the_setting_decides(wanted, monkeypatch):
    """Programs ask for the options of the device that they run on, unless the run does without."""
    asked = []
    monkeypatch.setattr(programs, "cuda_graph_options", lambda device: asked.append(device.platform))
    env, loop = make_env("Pendulum-v1"), LoopConfig()
    layout = programs.choose_layout(TD3Config(), loop, RunConfig(cuda_graph=wanted), env)
    programs.make_programs(env, "td3", loop, 1, layout)
    assert asked == ["cpu"] * wanted


def test_a_layout_has_graphs_by_default():
    assert Layout().cuda_graph
    assert RunConfig().cuda_graph
