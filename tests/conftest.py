"""Settings of the test run."""

import os
import tempfile

import pytest

# One thread per product: at these sizes a second one costs more than it brings. Read when jax first starts.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
# Programs are compiled far more than they are run here; at a level that rounds as the default does.
os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=1"
# Eight devices, so that seeds and agents can be dealt to them, and no programs left in the user's cache folder.
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ddpg_jax-tests-")


@pytest.fixture(scope="module")
def kept_programs():
    """Within a module, a program that is compiled again is taken from JAX's cache."""
    import jax  # which reads the variables above when it is imported
    from jax.experimental.compilation_cache import compilation_cache

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update(names[0], tempfile.mkdtemp(prefix="ddpg_jax-programs-"))
    jax.config.update(names[1], 0.0)
    yield
    for name in names:
        jax.config.update(name, before[name])
    compilation_cache.reset_cache()
