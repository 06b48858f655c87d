"""`python -m ddpg_jax` is `ddpg-jax`."""

import sys

from ddpg_jax.cli import main

sys.exit(main())
