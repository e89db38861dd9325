"""Left and right half of a label: a mandible is nearly symmetric."""

import numpy as np

from mandseg.metrics.masks import Mask, bounding_box
from mandseg.ranking.drawn_label import DrawnLabel


def asymmetry(label: DrawnLabel) -> float | None:
    """Difference of the volumes of both halves as a share of their sum, in [0, 1]; None for an empty label."""
    parts = halves(label.mask)
    if parts is None:
        return None
    left, right = (int(np.count_nonzero(part)) for part in parts)
    return abs(left - right) / (left + right)


def uneven_tops_mm(label: DrawnLabel) -> float | None:
    """Difference of the heights of the highest voxels of both halves, in mm; None if a half is empty."""
    parts = halves(label.mask)
    if parts is None or not all(part.any() for part in parts):
        return None
    tops = [int(np.flatnonzero(part.any(axis=(0, 1)))[-1]) for part in parts]
    return abs(tops[0] - tops[1]) * label.spacing_mm[2]


def halves(mask: Mask) -> tuple[Mask, Mask] | None:
    """Both halves of a mask, cut at the middle of its extent from left to right; None if empty."""
    box = bounding_box(mask)
    if box is None:
        return None
    middle = (box[0].start + box[0].stop) / 2
    low, high = int(np.floor(middle)), int(np.ceil(middle))
    return mask[:low], mask[high:]  # a slice in the middle belongs to none
