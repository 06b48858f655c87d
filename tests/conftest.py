"""Settings of the test run."""

import os

# One thread per product: at these sizes a second one costs more than it brings. Read when jax first starts.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
