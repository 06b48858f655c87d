"""One training run: its settings, its compiled programs, and its folder from the first line to a resumed checkpoint."""
