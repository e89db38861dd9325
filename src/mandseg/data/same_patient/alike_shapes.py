"""Which labels have a shape alike? All pairs are compared in steps of 6 mm, by products of matrices."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from mandseg.data.same_patient.tissue import Floats

SHIFTS = tuple(product((-1, 0, 1), repeat=3))
ROWS = 256  # compared at once, which bounds the memory


def correlations(first: Sequence[Floats], second: Sequence[Floats]) -> Floats:
    """Find the highest correlation of each pair of coarse shapes over shifts by a coarse step, (N, M).

    Args:
        first: Coarse shapes, (X, Y, Z) each.
        second: The others.
    """
    flat = np.stack(second).reshape(len(second), -1).T
    best = np.full((len(first), len(second)), -1, np.float32)
    for start in range(0, len(first), ROWS):
        part = np.stack(first[start : start + ROWS])
        for shift in SHIFTS:
            moved = np.roll(part, shift, (1, 2, 3)).reshape(len(part), -1)
            np.maximum(best[start : start + ROWS], moved @ flat, out=best[start : start + ROWS])
    return best
