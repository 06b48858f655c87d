"""Settings of the test run."""

import os
import tempfile

# One thread per product: at these sizes a second one costs more than it brings. Read when jax first starts.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
# Two devices, so that runs of two seeds are dealt to them, and no programs left in the user's cache folder.
os.environ["JAX_NUM_CPU_DEVICES"] = "2"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ddpg_jax-tests-")
