"""The slices of a label that most probably are wrong: label and prediction or CT in, indices of slices out."""

import numpy as np
import numpy.typing as npt

from mandseg.data.structure import structure_of
from mandseg.metrics.masks import Mask
from mandseg.ranking.drawn_label import DrawnLabel
from mandseg.ranking.scores.hounsfield import BONE_HU, SOFT_HU, shell

APART_MM = 6.0  # distance of two chosen slices
SHOWN = 3


def doubtful_voxels(label: DrawnLabel, prediction: Mask | None) -> Mask:
    """The voxels in doubt, (X, Y, Z): where label and prediction differ.

    Without a prediction: soft tissue inside a mandible's label and bone just outside it; without a CT, or for another
    structure, the label itself.
    """
    if prediction is not None:
        return np.asarray(label.mask ^ prediction)
    if label.hu is None or not label.mask.any() or not structure_of(label.case).is_mandible:
        return label.mask
    beside = shell(label.mask, label.spacing_mm) & (label.hu > BONE_HU)
    return np.asarray((label.mask & (label.hu < SOFT_HU)) | beside)


def worst_planes(doubtful: Mask, axis: int, spacing_mm: float, n: int = SHOWN) -> list[int]:
    """Indices of the planes across an axis with the most doubtful voxels, at least 6 mm apart, in ascending order.

    Fewer planes are given if no more have a doubtful voxel; the middle one if none has.
    """
    counts: npt.NDArray[np.int64] = doubtful.sum(axis=tuple({0, 1, 2} - {axis}))
    chosen: list[int] = []
    for index in np.argsort(-counts, kind="stable").tolist():
        if len(chosen) == n or not counts[index]:
            break
        if all(abs(index - other) * spacing_mm >= APART_MM for other in chosen):
            chosen.append(index)
    return sorted(chosen) or [len(counts) // 2]
