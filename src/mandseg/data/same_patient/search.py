"""Finds pairs of cases that show one patient, within one list of fingerprints or between two."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np
import numpy.typing as npt

from mandseg.data.same_patient.fingerprint import Fingerprint, Floats
from mandseg.data.same_patient.first_look import Steps, differ, tissue
from mandseg.data.same_patient.likeness import MAYBE_SHAPE, Likeness, Shift, align

MOST_LIKE = 5  # candidates for each case, those with the highest correlation of coarse shapes
COARSE = 0.65  # the least correlation of a candidate
NEAR = MAYBE_SHAPE - 0.05  # the least correlation of shapes before climbing to their best shift
SHIFTS = tuple(product((-1, 0, 1), repeat=3))
ROWS = 256  # compared at once, which bounds the memory


@dataclass(frozen=True, eq=False)
class Match:
    """Two cases, by their places in the lists, and why they show one patient."""

    first: int
    second: int
    likeness: Likeness
    shift_mm: Shift
    """What brings the second case onto the first, on RAS+ axes."""


def find_matches(
    first: Sequence[Fingerprint | None], second: Sequence[Fingerprint | None] | None = None
) -> list[Match]:
    """Compare every case of one list with every case of another, or the cases of one list with each other.

    Coarse shapes of all pairs are compared as products of matrices; only the most alike ones are looked at closely.

    Returns:
        Certain and suspected pairs, in the order of the lists.
    """
    other = first if second is None else second
    found = []
    for i, pairs in groupby(likely_pairs(first, second), key=lambda pair: pair[0]):
        columns = [j for _, j in pairs]
        one, ct = _present(first[i]), None
        for j, (shape, shift) in zip(columns, _best_shapes(one, [other[j] for j in columns]), strict=True):
            if shape < NEAR:
                continue
            two, ct = _present(other[j]), ct or tissue(one)
            if differ(ct, tissue(two), one.anchor - two.anchor + shift):
                continue
            likeness, shift_mm = align(one, two)
            if likeness.verdict != "different":
                found.append(Match(i, j, likeness, shift_mm))
    return found


def likely_pairs(
    first: Sequence[Fingerprint | None], second: Sequence[Fingerprint | None] | None = None
) -> list[tuple[int, int]]:
    """List the pairs whose coarse shapes are alike: for each case the five most alike ones of the other list."""
    rows, columns = _known(first), _known(first if second is None else second)
    if not rows or not columns:
        return []
    values = _correlations(_stacked(first, rows), _stacked(first if second is None else second, columns))
    if second is None:
        np.fill_diagonal(values, -1)
    chosen = _highest(values, axis=1) | _highest(values, axis=0)
    pairs = {(rows[i], columns[j]) for i, j in np.argwhere(chosen & (values >= COARSE)).tolist()}
    return sorted(pairs if second is not None else {(min(pair), max(pair)) for pair in pairs})


def _known(fingerprints: Sequence[Fingerprint | None]) -> list[int]:
    return [place for place, known in enumerate(fingerprints) if known is not None]


def _stacked(fingerprints: Sequence[Fingerprint | None], places: Sequence[int]) -> Floats:
    """The coarse shapes, (N, X, Y, Z)."""
    return np.stack([_present(fingerprints[place]).coarse_shape for place in places])


def _correlations(rows: Floats, columns: Floats) -> Floats:
    """The highest correlation of each pair over shifts by a coarse step, (N, M)."""
    flat = columns.reshape(len(columns), -1).T
    best = np.full((len(rows), len(columns)), -1, np.float32)
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        for shift in SHIFTS:
            moved = np.roll(part, shift, (1, 2, 3)).reshape(len(part), -1)
            np.maximum(best[start : start + ROWS], moved @ flat, out=best[start : start + ROWS])
    return best


def _best_shapes(first: Fingerprint, others: Sequence[Fingerprint | None]) -> list[tuple[float, Steps]]:
    """The highest correlation of one shape with each of some others over shifts by a step, and that shift."""
    moved = np.stack([np.roll(first.shape, shift, (0, 1, 2)).ravel() for shift in SHIFTS])
    flat = np.stack([_present(other).shape.ravel() for other in others])
    values = flat @ moved.T
    return [(float(row.max()), -np.array(SHIFTS[int(row.argmax())])) for row in values]


def _present(known: Fingerprint | None) -> Fingerprint:
    if known is None:
        raise ValueError("a case without a fingerprint is in no pair")
    return known


def _highest(values: Floats, axis: int) -> npt.NDArray[np.bool_]:
    """Mark the five highest values along an axis."""
    n = values.shape[axis]
    if n <= MOST_LIKE:
        return np.ones(values.shape, np.bool_)
    least = np.partition(values, n - MOST_LIKE, axis=axis).take([n - MOST_LIKE], axis=axis)
    return np.asarray(values >= least)
