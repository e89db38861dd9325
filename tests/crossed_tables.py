"""Synthetic tables of seeds x cases with known variances."""

import numpy as np


def crossed_table(
    rng: np.random.Generator, n_seeds: int, n_cases: int, seed: float, case: float, rest: float
) -> np.ndarray:
    """Normal effects with mean 0 and these standard deviations."""
    return (
        rng.normal(0, seed, (n_seeds, 1)) + rng.normal(0, case, (1, n_cases)) + rng.normal(0, rest, (n_seeds, n_cases))
    )
