"""How the command line sets JAX up, in processes of their own since JAX reads it once."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from forking import forking
from toys import slow

from ddpg_jax.devices import backend
from ddpg_jax.devices.backend import cores

PREPARE = "import jax, sys; from ddpg_jax.devices.backend import prepare; prepare(int(sys.argv[1])); "


@pytest.fixture(scope="module")
def python():
    """Standard output of a process that has not used JAX: a fresh one, where JAX is to read another environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    inherited["JAX_PLATFORMS"] = "cpu"
    with forking("ddpg_jax.devices.backend", env=inherited) as in_a_copy:

        def run(code, *args, **environment):
            words = [code, *map(str, args)]
            if environment:
                command, env = [sys.executable, "-c", *words], inherited | environment
                done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
            else:
                done = in_a_copy(*words)
            assert done.returncode == 0, done.stderr
            return done.stdout.split()

        yield run


def test_programs_are_kept_and_found_again(python, tmp_path):
    """The second process compiles the same function from the cache, and its result is the same."""
    code = PREPARE + (
        "hits = []; jax.monitoring.register_event_listener(lambda event, **about: hits.append(event));"
        "print(float(jax.jit(lambda x: (x ** 3).sum())(jax.numpy.arange(4.0))),"
        "sum('cache_hits' in event for event in hits))"
    )
    first, second = (python(code, 1, XDG_CACHE_HOME=str(tmp_path)) for _ in range(2))
    assert first == ["36.0", "0"]
    assert second[0] == "36.0"
    assert int(second[1]) > 0
    assert list((tmp_path / "ddpg_jax" / "programs").iterdir())


def test_a_cache_of_the_users_own_is_left_as_it_is(python, tmp_path):
    code = PREPARE + "print(jax.config.jax_compilation_cache_dir)"
    assert python(code, 1, JAX_COMPILATION_CACHE_DIR=str(tmp_path)) == [str(tmp_path)]


def test_settings_of_the_cache_of_the_users_own_are_left_as_they_are(tmp_path, monkeypatch):
    changed = {}
    monkeypatch.setattr(backend.jax, "config", SimpleNamespace(update=changed.__setitem__))
    for name in ("DIR", "MAX_SIZE"):
        monkeypatch.delenv(f"JAX_COMPILATION_CACHE_{name}", raising=False)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "7")
    backend._use_cache(tmp_path / "programs")
    assert changed.keys() == {"jax_compilation_cache_dir", "jax_compilation_cache_max_size"}
    assert changed["jax_compilation_cache_dir"] == str(tmp_path / "programs")


@pytest.mark.parametrize("seeds", [1, 2, *slow(3)])
def test_the_cpu_becomes_as_many_devices_as_seeds_are_dealt_to(python, seeds):
    expected = max(n for n in range(1, cores() + 1) if seeds % n == 0)
    assert python(PREPARE + "print(len(jax.devices('cpu')))", seeds) == [str(expected)]


@pytest.mark.parametrize(
    "devices", [{"JAX_NUM_CPU_DEVICES": "3"}, *slow({"XLA_FLAGS": "--xla_force_host_platform_device_count=3"})]
)
def test_what_the_user_has_chosen_stays(python, devices, tmp_path):
    """A folder for compiled programs, a number of devices and of threads."""
    code = "import os, jax; from ddpg_jax.devices.backend import prepare; prepare(1, one_thread=True);"
    code += "print(jax.config.jax_compilation_cache_dir, len(jax.devices('cpu')), os.environ['NPROC'])"
    chosen = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "NPROC": "3"} | devices
    assert python(code, **chosen) == [str(tmp_path), "3", "3"]


def test_small_products_get_one_thread(python):
    code = "import os; from ddpg_jax.devices.backend import prepare; prepare(1, one_thread=True);"
    assert python(code + "print(os.environ['NPROC'])") == ["1"]


def test_plotting_libraries_wait_until_a_game_is_drawn(python):
    code = (
        "import sys; from ddpg_jax import make_env; make_env('Pendulum-v1');"
        "print('seaborn' in sys.modules, 'matplotlib.pyplot' in sys.modules);"
        "from gymnax.environments.misc import pong;"
        "print(len(pong.sns.color_palette('cubehelix', 3)), pong.plt.Figure.__name__)"
    )
    assert python(code) == ["False", "False", "3", "Figure"]
