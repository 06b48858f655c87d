"""`python -m ddpg_jax` is `ddpg-jax`."""

import sys

from ddpg_jax.cli.main import main

sys.exit(main())
