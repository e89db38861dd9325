"""How alike two fingerprints are, and what that means: the same patient for certain, suspected, or not."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.same_patient.fingerprint import FULL, SHAPE, STEP_MM, Fingerprint, Occupancy
from mandseg.data.same_patient.tissue import Floats, tissue_of
from mandseg.metrics.masks import Mask

MAYBE_SHAPE = 0.7  # below this correlation of shapes nothing else is looked at, without two CTs
SAME_SHAPE, SAME_OVERLAP = 0.815, 0.825  # docs/data.md: where these lie
SAME_DRAWING = 0.97  # overlap of one drawing, copied or resampled; two people's drawings of one scan reach 0.97 at most
SAME_IMAGE, MAYBE_IMAGE = 0.89, 0.88  # correlations of CTs whose labels overlap by so much:
IMAGE_OVERLAP = 0.80
SURE_IMAGE, DOUBTFUL_IMAGE = 0.93, 0.90  # the same for labels that were cut or drawn too wide and overlap less
WORTH_REFINING = 0.4
LEAST_SHARED = 2000  # voxels of 27 mm3 with tissue in both CTs, 54 ml: a correlation of fewer decides nothing
NEIGHBOURS = tuple(product((-1, 0, 1), repeat=3))

Verdict = Literal["certain", "suspected", "different"]
Shift = npt.NDArray[np.float64]  # (3,), steps of 3 mm


@dataclass(frozen=True)
class Likeness:
    """The evidence on one pair."""

    shape: float
    """Correlation of the labels' edges in their lowest 54 mm, at the best shift."""
    overlap: float = 0.0
    """Dice of the labels at the best shift, between the lowest and the highest slice that both have."""
    image: float | None = None
    """Correlation of the CTs around the labels at this shift; None unless there are two that overlap."""
    has_two_cts: bool = False

    @property
    def verdict(self) -> Verdict:
        """What the evidence means. Two CTs decide alone; without any two only a copied drawing is certain."""
        if self.image is not None:
            overlaps = self.overlap >= IMAGE_OVERLAP
            same, maybe = (SAME_IMAGE, MAYBE_IMAGE) if overlaps else (SURE_IMAGE, DOUBTFUL_IMAGE)
            return "certain" if self.image >= same else "suspected" if self.image >= maybe else "different"
        if self.shape < MAYBE_SHAPE:
            return "different"
        if self.overlap >= SAME_DRAWING:
            return "suspected" if self.has_two_cts else "certain"
        is_alike = self.shape >= SAME_SHAPE and self.overlap >= SAME_OVERLAP
        return "suspected" if is_alike else "different"

    def __str__(self) -> str:
        labels = f"overlap of the labels {self.overlap:.2f}, correlation of their edges {self.shape:.2f}"
        return labels if self.image is None else f"correlation of the CTs {self.image:.2f}, {labels}"


def align(
    first: Fingerprint, second: Fingerprint, start: npt.NDArray[np.int64] | None = None
) -> tuple[Likeness, Shift]:
    """Lay one fingerprint upon the other and compare labels and CTs.

    Only shifts are tried: the same scan has the same axes. A second scan of a patient is found only if the head lies
    alike in both.

    Args:
        first: The case that stays.
        second: The case that is moved.
        start: About what brings the CT of the second onto that of the first, in steps; None to begin with the labels.

    Returns:
        The evidence, and the shift in mm that brings the second case onto the first.
    """
    off = first.anchor - second.anchor
    shape, shift = best_shape(first.shape, second.shape, None if start is None else start - off)
    placed = (off + shift if start is None else start).astype(np.float64)
    overlap, image = 0.0, None
    if shape >= MAYBE_SHAPE or start is not None:
        overlap, placed = best_overlap(first.label, second.label, placed)
        image, placed = image_correlation(first, second, placed)
    has_two_cts = first.image is not None and second.image is not None
    return Likeness(shape, overlap, image, has_two_cts), placed * STEP_MM + first.origin_mm - second.origin_mm


def best_shape(
    first: Floats, second: Floats, start: npt.NDArray[np.int64] | None = None
) -> tuple[float, npt.NDArray[np.int64]]:
    """Find the highest correlation of two shapes, climbing from a shift of the second, by default 0; and its shift."""
    shift, found = np.zeros(3, np.int64) if start is None else start, -1.0
    tried: dict[tuple[int, ...], float] = {}
    while True:
        for step in NEIGHBOURS:
            key = tuple((shift + step).tolist())
            if key not in tried:
                tried[key] = _product(first, second, key)
        best = max(tried, key=lambda key: tried[key])
        if tried[best] <= found:
            return found, shift
        shift, found = np.array(best), tried[best]


def best_overlap(first: Occupancy, second: Occupancy, shift: Shift) -> tuple[float, Shift]:
    """Refine a shift of the second label to a quarter of a step, by the Dice in the slices that both labels have."""
    room = np.ceil(np.abs(shift)).astype(int) + 3
    extent = tuple((np.maximum(first.shape, second.shape) + 2 * room).tolist())
    fixed = np.zeros(extent, np.bool_)
    fixed[tuple(slice(r, r + n) for r, n in zip(room, first.shape, strict=True))] = 2 * first.astype(int) >= FULL
    moving = second.astype(np.float32) / np.float32(FULL)
    found = _overlap(fixed, moving, shift + room)
    for step in (0.5, 0.25):
        improved = True
        while improved:
            improved = False
            for move in (*np.eye(3), *-np.eye(3)):
                if (value := _overlap(fixed, moving, shift + step * move + room)) > found + 1e-6:
                    found, shift, improved = value, shift + step * move, True
    return found, shift


def image_correlation(first: Fingerprint, second: Fingerprint, shift: Shift) -> tuple[float | None, Shift]:
    """Correlate two CTs, the second moved by about a shift, inside the tissue of both and beside both labels.

    Bone under both labels is alike in all people, and so is the edge of a head. A first look decides whether the shift
    is worth refining.

    Returns:
        The highest correlation near the shift and where it is; None without two CTs that share enough tissue.
    """
    if first.image is None or second.image is None:
        return None, shift
    fixed, moving = _tissue(first), _tissue(second)
    found = _correlation(fixed, moving, shift)
    steps = (1.0,) if found is None or found < WORTH_REFINING else (1.0, 0.5, 0.25)
    for step in steps:
        improved = True
        while improved:
            improved = False
            for move in (*np.eye(3), *-np.eye(3)):
                value = _correlation(fixed, moving, shift + step * move)
                if value is not None and (found is None or value > found + 1e-4):
                    found, shift, improved = value, shift + step * move, True
    return found, shift


def _tissue(known: Fingerprint) -> Floats:
    """The CT as float32, NaN in the label and where there is no tissue, and a step beside both.

    Beside them a voxel of 3 mm holds parts of bone or of air. Heads of one shape are alike there, whoever they are.
    """
    assert known.image is not None
    tissue = tissue_of(known.image, known.label)
    inside = ndimage.binary_erosion(tissue.there, border_value=1)
    return np.where(inside, np.minimum(tissue.image, tissue.brightest_hu), np.nan).astype(np.float32)


def _correlation(fixed: Floats, moving: Floats, shift: Shift) -> float | None:
    """Correlate two arrays, the second moved by a shift, where neither is NaN; None where that is nearly nowhere."""
    whole = np.floor(shift).astype(int)
    moved = np.pad(moving, ((0, 1), (0, 1), (0, 1)), constant_values=np.nan)
    for axis, part in enumerate((shift - whole).tolist()):
        if part:
            moved = (1 - part) * moved + part * np.roll(moved, 1, axis)
    low, high = np.maximum(whole, 0), np.minimum(fixed.shape, np.array(moved.shape) + whole)
    if (low >= high).any():
        return None
    a = fixed[tuple(slice(s, e) for s, e in zip(low, high, strict=True))]
    b = moved[tuple(slice(s, e) for s, e in zip(low - whole, high - whole, strict=True))]
    both = np.isfinite(a) & np.isfinite(b)
    if np.count_nonzero(both) < LEAST_SHARED:
        return None
    x, y = a[both], b[both]
    x, y = x - x.mean(), y - y.mean()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length else None


def _product(first: Floats, second: Floats, shift: tuple[int, ...]) -> float:
    """The sum of products of two arrays, the second moved by whole steps; what leaves the box is lost."""
    here = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(shift, SHAPE, strict=True))
    there = tuple(slice(max(-s, 0), n + min(-s, 0)) for s, n in zip(shift, SHAPE, strict=True))
    if any(part.start >= part.stop for part in here):
        return -1.0
    return float(np.einsum("ijk,ijk", first[here], second[there]))


def _overlap(fixed: Mask, moving: Floats, corner: Shift) -> float:
    """Dice of a label and another whose lowest voxel is put at ``corner``, in the slices that both have."""
    whole = np.floor(corner).astype(int)
    moved = np.pad(moving, ((0, 1), (0, 1), (0, 1)))
    for axis, part in enumerate((corner - whole).tolist()):
        if part:
            moved = (1 - part) * moved + part * np.roll(moved, 1, axis)
    mask = moved >= 0.5
    target = tuple(slice(k, k + n) for k, n in zip(whole, mask.shape, strict=True))
    box = fixed[target]
    slices = np.flatnonzero(mask.any((0, 1)))
    own = np.flatnonzero(fixed.any((0, 1))) - whole[2]
    if not slices.size or box.shape != mask.shape:
        return 0.0
    low, high = int(max(slices[0], own[0], 0)), int(min(slices[-1], own[-1])) + 1
    if low >= high:
        return 0.0
    n_fixed = int(np.count_nonzero(fixed[:, :, whole[2] + low : whole[2] + high]))
    n_moving = int(np.count_nonzero(mask[:, :, low:high]))
    n_both = int(np.count_nonzero(box[:, :, low:high] & mask[:, :, low:high]))
    return 2 * n_both / max(n_fixed + n_moving, 1)
