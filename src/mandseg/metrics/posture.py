"""How a mandible lies in the patient's axes: its back rises and is wider, or the image is turned."""

import numpy as np

from mandseg.metrics.masks import Mask, bounding_box

SURE_MM = 1.0
"""A mandible that falls or narrows to the back by more is turned; all of 150 mandibles of OpenKBP rise, 149 widen."""


def posture(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[float | None, float | None]:
    """How far the back third of a mask lies above its front third, and how much wider it is, in mm.

    The back third are the voxels behind the lower tertile of all voxels from back to front.

    Args:
        mask: bool, (X, Y, Z), on RAS+ axes.
        spacing_mm: The edges of a voxel.

    Returns:
        Difference of the mean heights, and of the standard deviations from left to right; None for an empty mask.
    """
    box = bounding_box(mask)
    if box is None:
        return None, None
    places_mm = np.argwhere(mask[box]) * spacing_mm
    back, front = np.quantile(places_mm[:, 1], [1 / 3, 2 / 3])
    behind, before = places_mm[places_mm[:, 1] <= back], places_mm[places_mm[:, 1] >= front]
    rise = float(behind[:, 2].mean() - before[:, 2].mean())
    return rise, float(behind[:, 0].std() - before[:, 0].std())


def posture_doubts(rise_mm: float | None, spread_mm: float | None, sure_mm: float = 0.0) -> list[str]:
    """What is doubtful about the orientation of an image, by its mandible; left and right cannot be distinguished.

    Args:
        rise_mm: How far its back lies above its front.
        spread_mm: How much wider its back is.
        sure_mm: How far both may be below zero.
    """
    if rise_mm is None or spread_mm is None:
        return []
    found = []
    if rise_mm <= -sure_mm:
        found.append(f"its back lies {-rise_mm:.0f} mm below its front: is the image upside down?")
    if spread_mm <= -sure_mm:
        found.append("it is wider in front than in the back: is front and back exchanged?")
    return found
