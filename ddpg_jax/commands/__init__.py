"""What each command of `ddpg-jax` does; what they are called and ask for is in cli.py."""
