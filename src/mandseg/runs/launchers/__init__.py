"""A grid of runs: composed and checked, started here or submitted to SLURM."""
