"""Settings of the test run."""

import os
import tempfile

# One thread per product: at these sizes a second one costs more than it brings. Read when jax first starts.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
# Eight devices, so that seeds and agents can be dealt to them, and no programs left in the user's cache folder.
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ddpg_jax-tests-")
