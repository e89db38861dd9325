"""Agreement of two masks on one grid: overlap, surface distances in mm and volumes, with every empty case defined.

Surfaces and their distances are DeepMind's (Nikolov et al. 2018, arXiv 1809.04430; package surface-distance): a surface
element sits at each voxel corner whose eight voxels differ, with the area of the marching-cubes patch there, and its
distance is the one to the nearest element of the other mask's surface. docs/metrics.md states every definition.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.system.errors import UserError

Mask = npt.NDArray[np.bool_]  # (X, Y, Z)
Floats = npt.NDArray[np.float64]

METRICS = ("dice", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm", "reference_ml", "prediction_ml", "volume_error_ml")
OUTCOMES = ("scored", "missed", "spurious", "both_empty")

TIE_MM = 1e-4  # what float32 headers and oblique affines may add to a spacing must not push a tie beyond a tolerance
MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Surfaces:
    """The surface elements of two masks: the distance of each to the other surface and its area, sorted by distance."""

    distances_gt_to_pred: Floats  # (N,) mm
    areas_gt: Floats  # (N,) mm^2
    distances_pred_to_gt: Floats  # (M,) mm
    areas_pred: Floats  # (M,) mm^2


def score(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> dict[str, float | str]:
    """Score one prediction against its reference on the image's own, uncropped grid.

    An empty mask has no surface; what counts then is this table and never NaN, so that no mean can rise by dropping
    cases (the grid's diagonal is the largest distance two points of it can have, the convention of BraTS):

    ========== ========= ========== ===== ==== ======================
    outcome    reference prediction Dice  NSD  HD95, ASSD
    ========== ========= ========== ===== ==== ======================
    scored     not empty not empty  as defined
    missed     not empty empty      0     0    diagonal of the grid
    spurious   empty     not empty  0     0    diagonal of the grid
    both_empty empty     empty      1     1    0
    ========== ========= ========== ===== ==== ======================

    Args:
        prediction: Mask, bool, (X, Y, Z).
        reference: Mask, bool, (X, Y, Z).
        spacing_mm: Voxel edge lengths along the three axes.

    Returns:
        ``outcome`` (one of ``OUTCOMES``) and the finite numbers named in ``METRICS``; ``volume_error_ml`` is prediction
        minus reference.

    Raises:
        UserError: The masks differ in shape.
        ValueError: The masks are not 3D arrays of bool, or the spacing is not three positive numbers.
    """
    _check(prediction, reference, spacing_mm)
    reference_ml, prediction_ml = (_volume_ml(mask, spacing_mm) for mask in (reference, prediction))
    volumes: dict[str, float | str] = {
        "reference_ml": reference_ml,
        "prediction_ml": prediction_ml,
        "volume_error_ml": prediction_ml - reference_ml,
    }
    box = bounding_box(prediction, reference)
    if box is None:
        return _agreement("both_empty", overlap=1.0, distance_mm=0.0) | volumes
    if not reference_ml or not prediction_ml:
        diagonal_mm = float(np.linalg.norm(np.array(reference.shape) * np.asarray(spacing_mm)))
        outcome = "spurious" if prediction_ml else "missed"
        return _agreement(outcome, overlap=0.0, distance_mm=diagonal_mm) | volumes
    return _score_surfaces(prediction[box], reference[box], spacing_mm) | volumes


def bounding_box(*masks: Mask) -> tuple[slice, slice, slice] | None:
    """Find the smallest box that holds every True voxel of all masks; None if there is none."""
    boxes = [box for box in map(_bounding_box, masks) if box is not None]
    if not boxes:
        return None
    x, y, z = (slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))
    return x, y, z


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


def _score_surfaces(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> dict[str, float | str]:
    common = np.count_nonzero(prediction & reference)
    found = surfaces(prediction, reference, spacing_mm)
    return {
        "outcome": "scored",
        "dice": float(2.0 * common / (np.count_nonzero(prediction) + np.count_nonzero(reference))),
        "hd95_mm": hd95_mm(found),
        "assd_mm": assd_mm(found),
        "nsd_1mm": nsd(found, tolerance_mm=1.0),
        "nsd_2mm": nsd(found, tolerance_mm=2.0),
    }


def _agreement(outcome: str, overlap: float, distance_mm: float) -> dict[str, float | str]:
    return {
        "outcome": outcome,
        "dice": overlap,
        "hd95_mm": distance_mm,
        "assd_mm": distance_mm,
        "nsd_1mm": overlap,
        "nsd_2mm": overlap,
    }


def _percentile(distances_mm: Floats, areas: Floats, share: float) -> float:
    index = int(np.searchsorted(np.cumsum(areas) / areas.sum(), share))
    return float(distances_mm[min(index, len(distances_mm) - 1)])


def _volume_ml(mask: Mask, spacing_mm: Sequence[float]) -> float:
    return float(np.count_nonzero(mask) * np.prod(np.asarray(spacing_mm, dtype=np.float64)) / MM3_PER_ML)


def _bounding_box(mask: Mask) -> tuple[slice, slice, slice] | None:
    columns = np.asarray(np.any(mask, axis=2))  # (X, Y)
    if not columns.any():
        return None
    x, y = _extent(np.any(columns, axis=1)), _extent(np.any(columns, axis=0))
    return x, y, _extent(np.any(mask[x, y], axis=(0, 1)))


def _extent(occupied: npt.ArrayLike) -> slice:
    where = np.flatnonzero(occupied)
    return slice(int(where[0]), int(where[-1]) + 1)


def _check(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> None:
    if prediction.shape != reference.shape:
        raise UserError(f"shape {prediction.shape} of the prediction differs from {reference.shape} of the reference")
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if mask.dtype != np.bool_ or mask.ndim != 3:
            raise ValueError(f"{name} is a {mask.ndim}D array of {mask.dtype}, expected a 3D array of bool")
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise ValueError(f"spacing {tuple(spacing_mm)} mm, expected three positive numbers")
