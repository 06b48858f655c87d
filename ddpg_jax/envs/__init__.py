"""Environments: adapters for other packages, tasks of our own, and a check for environments of users."""
