"""Trained networks of runs: loaded from run folders or checkpoint files, and chosen from a study."""
