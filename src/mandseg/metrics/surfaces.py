"""Surfaces of two masks and the distances between them, in mm.

Surfaces and their distances are DeepMind's (Nikolov et al. 2018, arXiv 1809.04430; package surface-distance): a surface
element sits at each voxel corner whose eight voxels differ, with the area of the marching-cubes patch there, and its
distance is the one to the nearest element of the other mask's surface.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.metrics.masks import Mask

Floats = npt.NDArray[np.float64]

TIE_MM = 1e-4  # what float32 headers and oblique affines may add to a spacing must not push a tie beyond a tolerance


@dataclass(frozen=True)
class Surfaces:
    """The surface elements of two masks: the distance of each to the other surface and its area, sorted by distance."""

    distances_gt_to_pred: Floats  # (N,) mm
    areas_gt: Floats  # (N,) mm^2
    distances_pred_to_gt: Floats  # (M,) mm
    areas_pred: Floats  # (M,) mm^2


def surfaces(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> Surfaces:
    """Compute the surface elements of two masks, neither of them empty, and their distances to each other."""
    from surface_distance import compute_surface_distances

    with warnings.catch_warnings():  # the package calls SciPy by names that are deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        found = compute_surface_distances(reference, prediction, tuple(float(s) for s in spacing_mm))
    return Surfaces(
        found["distances_gt_to_pred"],
        found["surfel_areas_gt"],
        found["distances_pred_to_gt"],
        found["surfel_areas_pred"],
    )


def hd95_mm(found: Surfaces) -> float:
    """Take the larger of the two directed distances within which 95 % of a surface's area lies."""
    return max(
        _percentile(found.distances_gt_to_pred, found.areas_gt, 0.95),
        _percentile(found.distances_pred_to_gt, found.areas_pred, 0.95),
    )


def assd_mm(found: Surfaces) -> float:
    """Average the distances of both surfaces together, each element weighted by its area (both in one sum)."""
    area = found.areas_gt.sum() + found.areas_pred.sum()
    weighted = found.distances_gt_to_pred @ found.areas_gt + found.distances_pred_to_gt @ found.areas_pred
    return float(weighted / area)


def nsd(found: Surfaces, tolerance_mm: float) -> float:
    """Surface Dice: the share of both surfaces' area that lies within ``tolerance_mm`` of the other surface."""
    limit_mm = tolerance_mm + TIE_MM
    near_gt = found.areas_gt[found.distances_gt_to_pred <= limit_mm].sum()
    near_pred = found.areas_pred[found.distances_pred_to_gt <= limit_mm].sum()
    return float((near_gt + near_pred) / (found.areas_gt.sum() + found.areas_pred.sum()))


def _percentile(distances_mm: Floats, areas: Floats, share: float) -> float:
    index = int(np.searchsorted(np.cumsum(areas) / areas.sum(), share))
    return float(distances_mm[min(index, len(distances_mm) - 1)])
