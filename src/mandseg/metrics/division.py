"""The parts of a structure by which displacement is measured: regions of a mandible, thirds of anything else."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.metrics.masks import Mask, Spacing
from mandseg.metrics.regions import REGIONS, find_landmarks, region_map

Parts = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Division:
    """How a structure is divided.

    Args:
        regions: Names of the regions.
        divide: Takes a mask that is not empty, (X, Y, Z) on RAS+ axes, and the voxel edge lengths in mm. Gives every
            voxel of the grid, inside and outside the mask, its index in ``regions``, (X, Y, Z).
    """

    regions: tuple[str, ...]
    divide: Callable[[Mask, Spacing], Parts]


def _regions_of_mandible(mask: Mask, spacing_mm: Spacing) -> Parts:
    return region_map(find_landmarks(mask, spacing_mm), mask.shape, spacing_mm)


def _thirds_of_height(mask: Mask, _: Spacing) -> Parts:
    levels = np.flatnonzero(mask.any(axis=(0, 1)))
    bottom, top = levels[0] - 0.5, levels[-1] + 0.5
    share = (np.arange(mask.shape[2]) - bottom) / (top - bottom)
    third = np.clip((3 * (1 - share)).astype(int), 0, 2)  # 0 is on top
    return np.broadcast_to(third.astype(np.uint8), mask.shape)


MANDIBLE = Division(REGIONS, _regions_of_mandible)
THIRDS = Division(("upper", "middle", "lower"), _thirds_of_height)  # equal parts of the height
