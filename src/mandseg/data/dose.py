"""The planned dose of a case: read from its file, checked, and sampled at the voxels of a contour."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.data.volume import Geometry, Volume, read_volume, show_mm
from mandseg.metrics.masks import Mask
from mandseg.system.errors import UserError

PLAUSIBLE_MAXIMUM_GY = (1.0, 200.0)
"""The lowest and the highest maximum of a planned dose: from one small fraction to a whole treatment with hot spots."""
ROUNDING_GY = 0.01  # interpolation and integer steps give small negative values
HALF_VOXEL = 0.5 + 1e-6  # a voxel reaches half its edge beyond its centre

Gray = npt.NDArray[np.float64]


def read_dose(path: Path) -> Volume:
    """Read a dose and refuse an implausible one.

    Returns:
        Gy, (X, Y, Z), on the file's own grid.

    Raises:
        UserError: The file cannot be read, or :func:`implausible` finds a reason.
    """
    dose = read_volume(path)
    if reason := implausible(dose):
        raise UserError(f"{path}: {reason}")
    return dose


def implausible(dose: Volume) -> str:
    """One line with the reason why numbers cannot be a planned dose in Gy; empty if they can."""
    array = dose.array
    if array.dtype.kind not in "iuf":
        return f"the dose has values of type {array.dtype}, expected numbers in Gy"
    if bad := int(array.size - np.count_nonzero(np.isfinite(array))):
        return f"the dose has {bad} voxels that are NaN or infinite"
    lowest, highest = float(array.min()), float(array.max())
    if lowest < -ROUNDING_GY:
        return f"the dose has negative values down to {lowest:.4g} Gy, expected 0 or more: a difference of two doses?"
    low, high = PLAUSIBLE_MAXIMUM_GY
    if highest > high:
        advice = "is it in cGy? Divide by 100" if highest <= 100 * high else "is it scaled? Apply the header's scaling"
        return f"the dose has a maximum of {highest:.5g}, expected {low:g} to {high:g} Gy; {advice}"
    if highest < low:
        return f"the dose has a maximum of {highest:.3g}, expected {low:g} to {high:g} Gy; is it relative, or per beam?"
    return ""


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
    share = f"{outside} of {np.count_nonzero(mask)} voxels of the reference lie outside the grid of the dose"
    of_mask, of_dose = (_extent(places) for places in (_centres(mask, grid), _corners(dose.geometry)))
    advice = "is it of another plan or scan? Else export it on a larger grid"
    return f"{share} (reference {of_mask}, dose {of_dose}); {advice}"


def dose_warnings(case: Case, reference: Volume | None) -> list[str]:
    """List why ``mandseg dose`` would refuse the dose of a case; empty for a case without a dose."""
    if case.dose is None:
        return []
    try:
        dose = read_dose(case.dose)
    except UserError as error:
        return [f"dose {line}" for line in error.problems]
    line = uncovered(dose, reference.array != 0, reference.geometry) if reference else ""
    return [f"dose: {line}"] if line else []


def _centres(mask: Mask, grid: Geometry) -> Gray:
    """Positions of the voxels of a mask, (3, N), RAS+ mm."""
    return np.asarray(grid.affine[:3, :3] @ np.argwhere(mask).T + grid.affine[:3, 3:])


def _corners(grid: Geometry) -> Gray:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1)
    return np.asarray(grid.affine[:3, :3] @ corners + grid.affine[:3, 3:])


def _extent(places: Gray) -> str:
    return f"from {show_mm(places.min(axis=1))} to {show_mm(places.max(axis=1))}"
