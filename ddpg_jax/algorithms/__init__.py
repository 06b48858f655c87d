"""The algorithms: each a small file with its losses and its table of roles."""
