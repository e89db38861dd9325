"""Finds pairs of cases that show one patient, within one list of fingerprints or between two.

Pairs with two CTs are chosen by their CTs, so a label that was cut hides nothing; other pairs by their labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np
import numpy.typing as npt

from mandseg.data.same_patient import alike_cts, alike_shapes
from mandseg.data.same_patient.fingerprint import Fingerprint
from mandseg.data.same_patient.first_look import Steps, most_alike
from mandseg.data.same_patient.likeness import MAYBE_SHAPE, Likeness, Shift, align
from mandseg.data.same_patient.tissue import Floats
from mandseg.metrics.masks import Mask

MOST_LIKE = 5  # candidates for each case, those with the highest correlation of coarse shapes
MOST_ALIKE = 3  # the same of CTs
ALIKE_BLOCKS = 0.6  # the least correlation of a candidate's CT
COARSE = 0.65  # without two CTs: the least correlation of a candidate's coarse shape
NEAR = MAYBE_SHAPE - 0.05  # the least correlation of shapes before climbing to their best shift
SHIFTS = tuple(product((-1, 0, 1), repeat=3))

Pairs = dict[tuple[int, int], Steps | None]
"""Places in the lists -> about what brings the second CT onto the first, in steps; None for pairs without two CTs."""


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

    All pairs are compared coarsely, as products of matrices; only the most alike ones are looked at closely.

    Returns:
        Certain and suspected pairs, in the order of the lists.
    """
    other = first if second is None else second
    found = []
    for i, pairs in groupby(likely_pairs(first, second).items(), key=lambda pair: pair[0][0]):
        starts = {j: start for (_, j), start in pairs}
        one = _present(first[i])
        by_ct = {j: start for j, start in starts.items() if start is not None}
        likenesses = _alike_by_ct(one, other, by_ct) | _alike_by_label(
            one, other, [j for j in starts if j not in by_ct]
        )
        found += [
            Match(i, j, likeness, shift_mm)
            for j, (likeness, shift_mm) in sorted(likenesses.items())
            if likeness.verdict != "different"
        ]
    return found


def likely_pairs(first: Sequence[Fingerprint | None], second: Sequence[Fingerprint | None] | None = None) -> Pairs:
    """Choose for each case the three cases with the most alike CTs, and the five with the most alike coarse shapes.

    Coarse shapes count only where two CTs, or tissue that both show, are missing.
    """
    other = first if second is None else second
    rows, columns = ([place for place, known in enumerate(each) if known is not None] for each in (first, other))
    one, two = [_present(first[i]) for i in rows], [_present(other[j]) for j in columns]
    if not one or not two:
        return {}
    cts, shifts = _alike_cts(one, two)
    shapes = _alike_shapes(one, two, ~np.isnan(cts))
    if second is None:
        for values in (cts, shapes):
            np.fill_diagonal(values, -1)
    pairs: Pairs = {}
    for a, b in np.argwhere(_chosen(cts, ALIKE_BLOCKS, MOST_ALIKE)).tolist():
        start = one[a].anchor - two[b].anchor + alike_cts.shift_of(shifts[a, b])
        pairs[(rows[a], columns[b])] = start
    pairs |= {(rows[a], columns[b]): None for a, b in np.argwhere(_chosen(shapes, COARSE, MOST_LIKE)).tolist()}
    if second is None:
        pairs = {
            (min(pair), max(pair)): start if start is None or pair[0] < pair[1] else -start
            for pair, start in pairs.items()
        }
    return dict(sorted(pairs.items(), key=lambda pair: pair[0]))


def _alike_cts(one: Sequence[Fingerprint], two: Sequence[Fingerprint]) -> tuple[Floats, npt.NDArray[np.int8]]:
    """The correlations of CTs, (N, M), NaN where two CTs or common tissue are missing; and their shifts."""
    values = np.full((len(one), len(two)), np.nan, np.float32)
    places = np.zeros(values.shape, np.int8)
    rows, columns = ([place for place, known in enumerate(each) if known.blocks is not None] for each in (one, two))
    if rows and columns:
        blocks = ([each.blocks for each in cases if each.blocks is not None] for cases in (one, two))
        values[np.ix_(rows, columns)], places[np.ix_(rows, columns)] = alike_cts.correlations(*blocks)
    return values, places


def _alike_shapes(one: Sequence[Fingerprint], two: Sequence[Fingerprint], decided: Mask) -> Floats:
    """The correlations of coarse shapes, (N, M), -1 where the CTs decided."""
    values = np.full(decided.shape, -1, np.float32)
    rows = np.flatnonzero(~decided.all(axis=1)).tolist()
    if rows:
        values[rows] = alike_shapes.correlations(
            [one[row].coarse_shape for row in rows], [each.coarse_shape for each in two]
        )
    values[decided] = -1
    return values


def _alike_by_ct(
    one: Fingerprint, other: Sequence[Fingerprint | None], starts: dict[int, Steps]
) -> dict[int, tuple[Likeness, Shift]]:
    """Align a case with those whose CTs are alike when they are moved by whole steps."""
    found = {}
    for j, start in starts.items():
        two = _present(other[j])
        place = most_alike(one, two, start)
        if place.is_alike:
            found[j] = align(one, two, place.shift)
    return found


def _alike_by_label(
    one: Fingerprint, other: Sequence[Fingerprint | None], places: Sequence[int]
) -> dict[int, tuple[Likeness, Shift]]:
    """Align a case with those whose shape is alike when it is moved by a step."""
    if not places:
        return {}
    moved = np.stack([np.roll(one.shape, shift, (0, 1, 2)).ravel() for shift in SHIFTS])
    flat = np.stack([_present(other[j]).shape.ravel() for j in places])
    near = (flat @ moved.T).max(axis=1) >= NEAR
    return {j: align(one, _present(other[j])) for j, is_near in zip(places, near.tolist(), strict=True) if is_near}


def _present(known: Fingerprint | None) -> Fingerprint:
    if known is None:
        raise ValueError("a case without a fingerprint is in no pair")
    return known


def _chosen(values: Floats, least: float, most: int) -> Mask:
    """Mark so many of the highest values along each axis, if they are high enough; NaN is not."""
    values = np.nan_to_num(values, nan=-1)
    return (_highest(values, 1, most) | _highest(values, 0, most)) & (values >= least)


def _highest(values: Floats, axis: int, most: int) -> Mask:
    n = values.shape[axis]
    if n <= most:
        return np.ones(values.shape, np.bool_)
    return np.asarray(values >= np.partition(values, n - most, axis=axis).take([n - most], axis=axis))
