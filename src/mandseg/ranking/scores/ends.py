"""Where a label starts and ends, relative to the bone of the CT: bone that was cut off above or below the contour.

Planning contours often stop below condyles and coronoid processes. A contour that ends where the bone ends has a small
last slice with soft tissue or the joint space next to it. A contour that ends too early cuts through bone: the next
slices show bone right above the label. The area of this cut is measured.
"""

import numpy as np
from scipy import ndimage

from mandseg.metrics.masks import Mask, bounding_box
from mandseg.ranking.drawn_label import DrawnLabel
from mandseg.ranking.scores.hounsfield import BONE_HU

BESIDE_MM = 2.5  # bone nearer to the label of the same slice is a contour that is too narrow, not too short
CONTINUES_MM = 6.0  # bone has to continue so far, straight up or down: farther than the roof of the joint is thick
UPPER, LOWER = 0.6, 0.75  # share of the height, from the other end, from which on an end can be: above the teeth


def cut_above_mm2(label: DrawnLabel) -> float | None:
    """Area of the bone that continues above the upper ends of the label; None without a CT or a label."""
    return _cut_mm2(label, upward=True)


def cut_below_mm2(label: DrawnLabel) -> float | None:
    """Area of the bone that continues below the lower border of the label; None as above."""
    return _cut_mm2(label, upward=False)


def _cut_mm2(label: DrawnLabel, upward: bool) -> float | None:
    box = bounding_box(label.mask)
    if label.hu is None or box is None:
        return None
    dx, dy, dz = label.spacing_mm
    step = 1 if upward else -1
    mask, bone = label.mask[:, :, ::step], label.hu[:, :, ::step] > BONE_HU
    z = np.flatnonzero(mask.any(axis=(0, 1)))
    start = int(z[0] + (UPPER if upward else LOWER) * (z[-1] - z[0]))
    beside = np.ones([1 + 2 * max(1, round(BESIDE_MM / d)) for d in (dx, dy)], bool)
    voxels = sum(_cut(mask, bone, k, beside, max(1, round(CONTINUES_MM / dz))) for k in range(start, int(z[-1]) + 1))
    return voxels * dx * dy


def _cut(mask: Mask, bone: Mask, k: int, beside: Mask, n: int) -> int:
    """Voxels of a slice that are label and bone, under bone that is no label in all of the next n slices."""
    if k + n >= mask.shape[2]:
        return 0
    goes_on = mask[:, :, k] & bone[:, :, k]
    for next_k in range(k + 1, k + n + 1):
        goes_on &= bone[:, :, next_k] & ~mask[:, :, next_k]
    near = ndimage.binary_dilation(mask[:, :, k + 1], beside)
    return int(np.count_nonzero(goes_on & ~near))
