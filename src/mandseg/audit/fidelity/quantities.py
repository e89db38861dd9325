"""The quantities of one drawing: agreement with the reference, and signed displacement by region and by slice.

Two masks on one RAS+ grid in, finite numbers by name out. Two annotators are similar if these numbers have the same
distribution over their cases.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mandseg.metrics.agreement import score
from mandseg.metrics.catalogue import AGREEMENT, METRICS
from mandseg.metrics.displacement import Deviation, Surface, measure_deviation
from mandseg.metrics.masks import Mask, Spacing
from mandseg.metrics.regions import REGIONS

Floats = npt.NDArray[np.float64]
Group = Literal["agreement", "regions", "slices"]
GROUPS: tuple[Group, ...] = ("agreement", "regions", "slices")

N_HEIGHTS = 5  # equal parts of the reference's height, 1 is the lowest


@dataclass(frozen=True)
class Quantity:
    """One number of a drawing: its column, its label in figures, its unit ("" for shares) and its group."""

    name: str
    label: str
    unit: str
    group: Group


def _quantities() -> list[Quantity]:
    found = [
        *(Quantity(metric.column, metric.label, metric.unit, "agreement") for metric in METRICS if metric.better),
        Quantity("volume_difference", "Volume difference", "", "agreement"),
    ]
    for region in REGIONS:
        found += [
            Quantity(f"{region}_mean_mm", f"{region}: mean displacement", "mm", "regions"),
            Quantity(f"{region}_spread_mm", f"{region}: spread", "mm", "regions"),
        ]
    for name, label, unit in (
        ("slice_share", "drawn slices", ""),
        ("slice_area", "area ratio", ""),
        ("slice_shift_mm", "displacement", "mm"),
        ("slice_roughness_mm", "roughness", "mm"),
    ):
        found += [Quantity(f"{name}_{k}", f"{label}, height {k}/{N_HEIGHTS}", unit, "slices") for k in _heights()]
    return found


def _heights() -> range:
    return range(1, N_HEIGHTS + 1)


QUANTITIES: dict[str, Quantity] = {quantity.name: quantity for quantity in _quantities()}


def measure(drawn: Mask, reference: Mask, spacing_mm: Spacing, surface: Surface | None = None) -> dict[str, float]:
    """Measure a drawing against its reference.

    Args:
        drawn: bool, (X, Y, Z), on RAS+ axes.
        reference: The same grid, not empty.
        spacing_mm: Voxel edge lengths.
        surface: The surface of the reference; computed if it is not given.

    Returns:
        The ``QUANTITIES`` that exist. A region or height without a surface has none, and so has an empty drawing.
    """
    scores = score(drawn, reference, spacing_mm)
    agreement = {name: float(scores[name]) for name in AGREEMENT}
    agreement["volume_difference"] = float(scores["volume_error_ml"]) / float(scores["reference_ml"])
    if not drawn.any():
        return agreement
    regions = _by_region(measure_deviation(drawn, reference, spacing_mm, surface))
    return agreement | regions | _by_height(drawn, reference, spacing_mm)


def _by_region(deviation: Deviation) -> dict[str, float]:
    """Mean and standard deviation of the signed displacement of the surface of the reference, weighted by area."""
    found: dict[str, float] = {}
    for region in REGIONS:
        mean_mm, spread_mm = deviation.mean_mm(region), deviation.spread_mm(region)
        if mean_mm is not None and spread_mm is not None:
            found |= {f"{region}_mean_mm": mean_mm, f"{region}_spread_mm": spread_mm}
    return found


def _by_height(drawn: Mask, reference: Mask, spacing_mm: Spacing) -> dict[str, float]:
    """Compare the slices, pooled in equal parts of the height.

    ``slice_share`` is the number of drawn slices divided by the number in the reference; left and right half count
    separately. Slices beyond the ends of the reference count in the outermost part. The area ratio compares drawn
    areas. The displacement is the difference in area divided by the perimeter of the reference. Roughness is the root
    mean square change of the displacement between neighbouring slices that both labels have.
    """
    part = _part_of_height(reference)
    area, own_area = (_areas_mm2(mask, spacing_mm) for mask in (drawn, reference))
    perimeter_mm = _perimeters_mm(reference, spacing_mm)
    halves, own_halves = _halves_drawn(drawn, reference), _halves_drawn(reference, reference)
    shift_mm = np.full(len(area), np.nan)
    both = (area > 0) & (own_area > 0)
    shift_mm[both] = (area - own_area)[both] / perimeter_mm[both]
    steps_mm = np.diff(shift_mm)  # NaN where one of the two slices has no displacement
    found = {}
    for k in _heights():
        inside = part == k
        if own_halves[inside].sum() == 0:
            continue
        found[f"slice_share_{k}"] = float(halves[inside].sum() / own_halves[inside].sum())
        found[f"slice_area_{k}"] = float(area[inside].sum() / own_area[inside].sum())
        found[f"slice_shift_mm_{k}"] = float((area - own_area)[inside].sum() / perimeter_mm[inside].sum())
        rough = steps_mm[inside[1:] & np.isfinite(steps_mm)]
        if rough.size:
            found[f"slice_roughness_mm_{k}"] = float(np.sqrt(np.mean(rough**2)))
    return found


def _part_of_height(reference: Mask) -> npt.NDArray[np.intp]:
    """For each slice the part of the height of the reference, 1 to N_HEIGHTS; (Z,)."""
    z = np.flatnonzero(reference.any(axis=(0, 1)))
    relative = (np.arange(reference.shape[2]) - z[0] + 0.5) / (z[-1] + 1 - z[0])
    return np.asarray(np.clip(np.floor(relative * N_HEIGHTS) + 1, 1, N_HEIGHTS), np.intp)


def _areas_mm2(mask: Mask, spacing_mm: Spacing) -> Floats:
    return np.asarray(mask.sum(axis=(0, 1)) * spacing_mm[0] * spacing_mm[1], np.float64)


def _perimeters_mm(mask: Mask, spacing_mm: Spacing) -> Floats:
    """Length of the contour of each slice, by Crofton's formula with two directions: pi/4 of the voxel edges; (Z,)."""
    padded = np.pad(mask, ((1, 1), (1, 1), (0, 0)))
    across_x = (padded[1:] != padded[:-1]).sum(axis=(0, 1)) * spacing_mm[1]
    across_y = (padded[:, 1:] != padded[:, :-1]).sum(axis=(0, 1)) * spacing_mm[0]
    return np.asarray(np.pi / 4 * (across_x + across_y), np.float64)


def _halves_drawn(mask: Mask, reference: Mask) -> npt.NDArray[np.intp]:
    """For each slice the number of halves (left, right of the middle of the reference) with drawn voxels; (Z,)."""
    x = np.flatnonzero(reference.any(axis=(1, 2)))
    middle = (x[0] + x[-1] + 1) // 2
    return np.asarray(mask[:middle].any(axis=(0, 1)).astype(np.intp) + mask[middle:].any(axis=(0, 1)), np.intp)
