"""The `ddpg-jax` command."""
