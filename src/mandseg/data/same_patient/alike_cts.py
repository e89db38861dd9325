"""Which CTs are alike? All pairs are compared in blocks of 12 mm, by products of matrices, whatever the labels are."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from mandseg.data.same_patient.tissue import BLOCK, BLOCKS, ROOM, Blocks, Floats

SHIFTS = tuple(product(range(-ROOM, ROOM + 1), repeat=3))
LEAST_SHARED = 0.25  # of a CT's contrast lies where the other CT shows tissue, too
UNKNOWN = -2.0  # below every correlation
LEAST_SHARE = np.float32(0.05)  # of tissue in a block by which its squares are divided
ROWS = 256  # compared at once, which bounds the memory


def correlations(first: Sequence[Blocks], second: Sequence[Blocks]) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Find the highest correlation of each pair over shifts by a block, and that shift.

    Only blocks in which both show tissue count, by their shares of tissue.

    Returns:
        The correlations, (N, M), NaN where too little is shared; and the places of the shifts in ``SHIFTS``.
    """
    fixed = _Rows(np.stack([each.hu for each in second]), np.stack([each.share for each in second]))
    y, y_squared, y_share = (each.T.copy() for each in fixed.at((0, 0, 0)))
    best = np.full((len(first), len(second)), UNKNOWN, np.float32)
    places = np.zeros(best.shape, np.int8)
    for start in range(0, len(first), ROWS):
        part = first[start : start + ROWS]
        moving = _Rows(np.stack([each.hu for each in part]), np.stack([each.share for each in part]))
        target = np.s_[start : start + ROWS]
        for place, shift in enumerate(SHIFTS):
            x, x_squared, x_share = moving.at(shift)
            of_first, of_second = x_squared @ y_share, x_share @ y_squared
            found = x @ y / np.sqrt(np.maximum(of_first * of_second, 1e-6))
            found[of_first <= LEAST_SHARED * x_squared.sum(1)[:, None]] = UNKNOWN
            found[of_second <= LEAST_SHARED * y_squared.sum(0)] = UNKNOWN
            better = found > best[target]
            best[target][better], places[target][better] = found[better], place
    best[best == UNKNOWN] = np.nan
    return best, places


def shift_of(place: np.int8) -> npt.NDArray[np.int64]:
    """What brings the second CT onto the first, in steps of 3 mm, if both anchors are at the same place."""
    return BLOCK * np.array(SHIFTS[place])


class _Rows:
    """Blocks of several cases as rows of a matrix, from any shift."""

    def __init__(self, hu: Floats, share: Floats) -> None:
        self.hu, self.share = hu, share  # (N, 16, 14, 9)

    def at(self, shift: Sequence[int]) -> tuple[Floats, Floats, Floats]:
        """HU, their squares where there is tissue, and shares, (N, 1176) each."""
        window = tuple(slice(ROOM + s, ROOM + s + n) for s, n in zip(shift, BLOCKS, strict=True))
        hu, share = (each[(slice(None), *window)].reshape(len(each), -1) for each in (self.hu, self.share))
        return hu, hu * hu / np.maximum(share, LEAST_SHARE), share
