"""Samples a dose at the voxels of a contour; what lies outside the grid of the dose is unknown, not 0."""

import numpy as np

from mandseg.data.volume import Geometry, Volume, show_mm
from mandseg.metrics.dose.histogram import Gray
from mandseg.metrics.masks import Mask
from mandseg.system.wording import count, verb

HALF_VOXEL = 0.5 + 1e-6  # a voxel reaches half its edge beyond its centre


def dose_at(dose: Volume, mask: Mask, grid: Geometry) -> Gray:
    """Interpolate a dose linearly at the centres of the voxels of a mask.

    Up to half a voxel beyond its outermost centres, a dose has the value at its border.

    Args:
        dose: Gy, on any grid in the same frame.
        mask: bool, (X, Y, Z).
        grid: The grid of the mask.

    Returns:
        Gy, (N,) for the N voxels of the mask in the order of the array; NaN outside the dose's grid.
    """
    from scipy import ndimage  # only here: every command imports this room

    to_dose = np.linalg.inv(dose.affine) @ grid.affine
    places = to_dose[:3, :3] @ np.argwhere(mask).T + to_dose[:3, 3:]  # (3, N), in voxels of the dose
    last = np.array(dose.array.shape)[:, None] - 1
    inside = ((places >= -HALF_VOXEL) & (places <= last + HALF_VOXEL)).all(axis=0)
    values = dose.array.astype(np.float64, copy=False)
    gray = ndimage.map_coordinates(values, np.clip(places, 0, last), order=1, mode="nearest", prefilter=False)
    return np.where(inside, gray, np.nan)


def uncovered(dose: Volume, mask: Mask, grid: Geometry) -> str:
    """One line if a dose does not cover a mask, with both extents; empty if it covers every voxel."""
    outside = int(np.isnan(dose_at(dose, mask, grid)).sum())
    if not outside:
        return ""
    of_all = f"{outside} of {count(int(np.count_nonzero(mask)), 'voxel')} of the reference"
    share = f"{of_all} {verb(outside, 'lie')} outside the grid of the dose"
    of_mask, of_dose = (_extent(places) for places in (_centres(mask, grid), _corners(dose.geometry)))
    advice = "is it of another plan or scan? Else export it on a larger grid"
    return f"{share} (reference {of_mask}, dose {of_dose}); {advice}"


def _centres(mask: Mask, grid: Geometry) -> Gray:
    """Positions of the voxels of a mask, (3, N), RAS+ mm."""
    return np.asarray(grid.affine[:3, :3] @ np.argwhere(mask).T + grid.affine[:3, 3:])


def _corners(grid: Geometry) -> Gray:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1)
    return np.asarray(grid.affine[:3, :3] @ corners + grid.affine[:3, 3:])


def _extent(places: Gray) -> str:
    return f"from {show_mm(places.min(axis=1))} to {show_mm(places.max(axis=1))}"
