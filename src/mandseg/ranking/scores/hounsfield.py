"""The CT under the border of a label: soft tissue inside it, bone just outside it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.metrics.masks import Mask, Spacing, bounding_box
from mandseg.ranking.drawn_label import DrawnLabel

SOFT_HU = 150.0  # below: no bone; fatty marrow and air count, too
BONE_HU = 300.0  # above: bone, also after partial volume
BESIDE_MM = 2.5  # width of the shell outside a label


def median_hu(label: DrawnLabel) -> float | None:
    """Median HU inside the label; None without a CT or for an empty label."""
    inside = _inside(label)
    return None if inside is None else float(np.median(inside))


def soft_share(label: DrawnLabel) -> float | None:
    """Share of the label below 150 HU: soft tissue that was drawn, and marrow; None as above."""
    inside = _inside(label)
    return None if inside is None else float(np.mean(inside < SOFT_HU))


def bone_beside_share(label: DrawnLabel) -> float | None:
    """Share of the shell of 2.5 mm outside the label that is above 300 HU: bone that was left out; None as above."""
    if label.hu is None or not label.mask.any():
        return None
    return float(np.mean(label.hu[shell(label.mask, label.spacing_mm)] > BONE_HU))


def shell(mask: Mask, spacing_mm: Spacing) -> Mask:
    """The voxels outside a mask, which is not empty, with a centre within 2.5 mm of a centre inside."""
    box = bounding_box(mask)
    assert box is not None  # the mask is not empty
    margins = [int(BESIDE_MM / s) + 1 for s in spacing_mm]
    near = tuple(slice(max(b.start - m, 0), b.stop + m) for b, m in zip(box, margins, strict=True))
    distance_mm = ndimage.distance_transform_edt(~mask[near], sampling=spacing_mm)
    outside = np.zeros_like(mask)
    outside[near] = (distance_mm > 0) & (distance_mm <= max(BESIDE_MM, *spacing_mm))
    return outside


def _inside(label: DrawnLabel) -> npt.NDArray[Any] | None:
    return None if label.hu is None or not label.mask.any() else label.hu[label.mask]
