"""Lays two CTs upon each other by whole steps. Plainly different ones are not aligned, which takes 50 times as long."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mandseg.data.same_patient.fingerprint import Fingerprint
from mandseg.data.same_patient.likeness import LEAST_SHARED
from mandseg.data.same_patient.tissue import Tissue, soft_tissue_of, tissue_of

LEAST_ALIKE = 0.70
"""Correlation of CTs moved by whole steps: of one patient 0.86 or more, of others 0.68 at most (docs/data.md)."""
FIRST_STRIDE, STRIDE = 4, 2  # every fourth voxel along each axis is compared first, and then every second
WORTH_COMPARING = 0.6  # the least correlation of soft tissue on every fourth voxel
MOVES = ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
Steps = npt.NDArray[np.int64]  # (3,)


class Place(NamedTuple):
    """Where two CTs are most alike."""

    shift: Steps
    """What brings the second CT onto the first."""
    correlation: float | None
    """Of both where they show tissue; None if they share too little of it."""

    @property
    def is_alike(self) -> bool:
        """Whether the CTs may be of one patient."""
        return self.correlation is None or self.correlation >= LEAST_ALIKE


def most_alike(first: Fingerprint, second: Fingerprint, shift: Steps) -> Place:
    """Climb by whole steps from a shift to where two CTs are most alike, or alike enough.

    Args:
        first: The case that stays, with a CT.
        second: The case that is moved, with a CT.
        shift: About what brings the second onto the first, in steps.

    Raises:
        ValueError: A case has no CT.
    """
    if first.image is None or second.image is None:
        raise ValueError("a case without a CT is not compared by its CT")
    place = _climbed(soft_tissue_of(first.image), soft_tissue_of(second.image), shift, FIRST_STRIDE)
    if place.correlation is not None and place.correlation < WORTH_COMPARING:
        return place
    whole = tissue_of(first.image, first.label), tissue_of(second.image, second.label)
    return _climbed(*whole, place.shift, STRIDE)


def _climbed(first: Tissue, second: Tissue, shift: Steps, stride: int) -> Place:
    tried: dict[tuple[int, ...], float | None] = {}
    best, found = tuple(shift.tolist()), None
    while True:
        for move in MOVES:
            place = tuple(a + b for a, b in zip(best, move, strict=True))
            if place not in tried:
                tried[place] = _correlation(first, second, place, stride)
        known = {place: value for place, value in tried.items() if value is not None}
        if not known:
            return Place(shift, None)
        place = max(known, key=lambda each: known[each])
        if known[place] >= LEAST_ALIKE or (found is not None and known[place] <= found):
            return Place(np.array(place), known[place])
        best, found = place, known[place]


def _correlation(first: Tissue, second: Tissue, place: tuple[int, ...], stride: int) -> float | None:
    """Correlate where both show tissue, on every so many voxels; None where that is nearly nowhere."""
    shift = np.array(place)
    low, high = np.maximum(shift, 0), np.minimum(first.image.shape, np.array(second.image.shape) + shift)
    if (low >= high).any():
        return None
    here = tuple(slice(s, e, stride) for s, e in zip(low.tolist(), high.tolist(), strict=True))
    over = tuple(slice(s, e, stride) for s, e in zip((low - shift).tolist(), (high - shift).tolist(), strict=True))
    both = first.there[here] & second.there[over]
    n = np.count_nonzero(both)
    if n * stride**3 < LEAST_SHARED:
        return None
    x = np.minimum(first.image[here][both], first.brightest_hu).astype(np.float32)
    y = np.minimum(second.image[over][both], second.brightest_hu).astype(np.float32)
    x -= x.sum() / n
    y -= y.sum() / n
    length = float(x @ x) * float(y @ y)
    return float(x @ y) / length**0.5 if length else None
