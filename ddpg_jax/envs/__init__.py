"""Environments: adapters of other packages, our own tasks, and a check of a user's own."""
