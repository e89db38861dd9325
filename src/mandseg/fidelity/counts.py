"""Stand-ins for the quantities that take no surface distances, so that a fit can afford many drawings: voxels counted.

A contour displaced outward adds voxels, one displaced inward takes voxels away: per region and per distance from the
reference's boundary, as a share of the voxels that this boundary has.
"""

import numpy as np

from mandseg.fidelity.pairs import Pair, dice
from mandseg.fidelity.quantities import QUANTITIES, Quantity, by_height
from mandseg.regions import REGIONS, Mask

BANDS_MM = (0.0, 1.0, 2.0)  # changed voxels are counted from each of these distances on

COUNTS: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        QUANTITIES["dice"],
        QUANTITIES["volume_difference"],
        *(Quantity(f"changed_{mm:g}mm", f"changed voxels beyond {mm:g} mm", "", "agreement") for mm in BANDS_MM),
        *(Quantity(f"{region}_net", f"{region}: added less missing", "mm", "regions") for region in REGIONS),
        *(Quantity(f"{region}_changed", f"{region}: changed", "mm", "regions") for region in REGIONS),
        *(quantity for quantity in QUANTITIES.values() if quantity.group == "slices"),
    )
}
"""Those of a region are about millimetres: its boundary is one voxel thick."""


def count(drawn: Mask, pair: Pair) -> dict[str, float]:
    """Count what a drawing adds to the reference of a pair and what it leaves out.

    Args:
        drawn: bool, (X, Y, Z), not empty.
        pair: Its reference is on the same grid; what is drawn more than 15 mm away from it does not count by region.

    Returns:
        Those of ``COUNTS`` that exist.
    """
    scene, window = pair.view
    boundary = pair.boundary_voxels
    inside = drawn[window]
    changed = np.nonzero(inside != scene.mask)
    sign, region = np.where(inside[changed], 1.0, -1.0), pair.regions[changed]
    depth_mm = np.abs(scene.level_mm[changed])
    found = {"dice": dice(drawn, pair.reference), "volume_difference": float(sign.sum() / scene.mask.sum())}
    found |= {f"changed_{mm:g}mm": float((depth_mm >= mm).sum() / boundary.sum()) for mm in BANDS_MM}
    net, total = (np.bincount(region, weights, len(REGIONS)) for weights in (sign, np.abs(sign)))
    for k, name in enumerate(REGIONS):
        if boundary[k]:
            found |= {f"{name}_net": float(net[k] / boundary[k]), f"{name}_changed": float(total[k] / boundary[k])}
    return found | by_height(drawn, pair.reference, pair.spacing_mm)
