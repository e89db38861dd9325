"""Rejects a pair of cases whose CTs are plainly different, before the two are aligned, which takes 50 times as long."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.data.same_patient.fingerprint import MARGIN, Fingerprint, Floats
from mandseg.data.same_patient.likeness import BRIGHTEST_HU, IN_BODY_HU, LEAST_SHARED
from mandseg.metrics.masks import Mask

LEAST_ALIKE = 0.70
"""Correlation of CTs moved by whole steps: of one patient 0.86 or more, of others 0.68 at most (docs/data.md)."""
STRIDE = 2  # every second voxel along each axis is compared
MOVES = ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
Steps = npt.NDArray[np.int64]  # (3,)


@dataclass(frozen=True)
class Tissue:
    """The CT of a fingerprint: HU where there is tissue and no label, 0 elsewhere, and where that is."""

    hu: Floats
    there: Mask


def tissue(known: Fingerprint) -> Tissue | None:
    """What is compared of a CT; None without one."""
    if known.image is None:
        return None
    there = known.image >= IN_BODY_HU
    there[(slice(MARGIN, -MARGIN),) * 3] &= known.label == 0
    return Tissue(np.where(there, np.minimum(known.image, BRIGHTEST_HU), 0).astype(np.float32), there)


def differ(first: Tissue | None, second: Tissue | None, shift: Steps) -> bool:
    """Whether two CTs are plainly different: no whole shift of the second near the given one makes them alike.

    Args:
        first: The CT that stays.
        second: The CT that is moved.
        shift: About what brings the second onto the first, in steps.

    Returns:
        False without two CTs, and for CTs that share too little tissue to decide.
    """
    if first is None or second is None:
        return False
    tried: dict[tuple[int, ...], float | None] = {}
    best, found = tuple(shift.tolist()), None
    while True:
        for move in MOVES:
            place = tuple(a + b for a, b in zip(best, move, strict=True))
            if place not in tried:
                tried[place] = _correlation(first, second, place)
        known = {place: value for place, value in tried.items() if value is not None}
        if not known:
            return False
        place = max(known, key=lambda each: known[each])
        if known[place] >= LEAST_ALIKE:
            return False
        if found is not None and known[place] <= found:
            return True
        best, found = place, known[place]


def _correlation(first: Tissue, second: Tissue, place: tuple[int, ...]) -> float | None:
    """Correlate where both show tissue, on every second voxel; None where that is nearly nowhere."""
    shift = np.array(place)
    low, high = np.maximum(shift, 0), np.minimum(first.hu.shape, np.array(second.hu.shape) + shift)
    if (low >= high).any():
        return None
    here = tuple(slice(s, e, STRIDE) for s, e in zip(low.tolist(), high.tolist(), strict=True))
    over = tuple(slice(s, e, STRIDE) for s, e in zip((low - shift).tolist(), (high - shift).tolist(), strict=True))
    both = first.there[here] & second.there[over]
    if np.count_nonzero(both) * STRIDE**3 < LEAST_SHARED:
        return None
    x, y = first.hu[here][both], second.hu[over][both]
    x, y = x - x.mean(), y - y.mean()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length else None
