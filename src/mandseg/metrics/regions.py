"""Regions of a mandible by geometry alone: body, angle, ramus, condyle, coronoid process and the alveolar crest.

The input is a mask on RAS+ axes; the output is landmarks in mm and a region for every voxel of the grid. The rules are
proportions of the mandible's extent. They serve to compare contours of one case by region and are not anatomy.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mandseg.metrics.masks import Mask, Spacing

Region = Literal["body", "angle", "ramus", "condyle", "coronoid", "teeth"]
REGIONS: tuple[Region, ...] = ("body", "angle", "ramus", "condyle", "coronoid", "teeth")

RAMUS_DEPTH = 0.47  # of the antero-posterior extent, from behind
PROCESS_HEIGHT = 0.18  # of the height, from the top: condyle and coronoid process
ANGLE_HEIGHT = 0.25  # of the height, from the lowest point under the ramus
CREST_MM = 5.0  # below the upper border of the body


@dataclass(frozen=True)
class Side:
    """Landmarks of one half; mm from the grid's first voxel centre, y to anterior, z to superior."""

    top_mm: float
    process_from_mm: float
    notch_y_mm: float
    angle_below_mm: float


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of a mandible; mm from the grid's first voxel centre along x, y and z."""

    middle_x_mm: float
    ramus_until_y_mm: float
    front_y_mm: float
    low_z_mm: float
    left: Side
    right: Side
    crest_z_mm: npt.NDArray[np.float64]  # (2, Y): upper border of the left and right half at each y, NaN where none


def find_landmarks(mask: Mask, spacing_mm: Spacing) -> Landmarks:
    """Measure the landmarks of a mandible.

    Raises:
        ValueError: The mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no landmarks")
    x, y, z = (
        np.flatnonzero(mask.any(axis=axes)) * s for axes, s in zip(((1, 2), (0, 2), (0, 1)), spacing_mm, strict=True)
    )
    middle = float(x[0] + x[-1]) / 2
    ramus_until = float(y[0] + RAMUS_DEPTH * (y[-1] - y[0]))
    cut = int(middle / spacing_mm[0]) + 1
    halves = [mask[:cut], mask[cut:]]
    sides = [_side(half if half.any() else mask, ramus_until, spacing_mm) for half in halves]
    crest = np.stack([_upper_border(half) * spacing_mm[2] for half in halves])
    return Landmarks(middle, ramus_until, float(y[-1]), float(z[0]), sides[0], sides[1], crest)


def region_map(landmarks: Landmarks, shape: tuple[int, ...], spacing_mm: Spacing) -> npt.NDArray[np.uint8]:
    """Give every voxel of the grid, inside and outside the mandible, its index in ``REGIONS``; (X, Y, Z)."""
    x, y, z = (np.arange(n) * s for n, s in zip(shape, spacing_mm, strict=True))
    regions = np.empty(shape, np.uint8)
    cut = int(np.searchsorted(x, landmarks.middle_x_mm, side="right"))
    parts = (np.s_[:cut], np.s_[cut:])
    for part, side, crest in zip(parts, (landmarks.left, landmarks.right), landmarks.crest_z_mm, strict=True):
        regions[part] = _plane_of_regions(landmarks, side, crest, y[:, None], z[None, :])
    return regions


def _plane_of_regions(
    landmarks: Landmarks, side: Side, crest: npt.NDArray[np.float64], y: npt.ArrayLike, z: npt.ArrayLike
) -> npt.NDArray[np.uint8]:
    """Regions of one half, equal at every x; (Y, Z)."""
    y, z = np.broadcast_arrays(y, z)
    behind = y <= landmarks.ramus_until_y_mm
    process = z > side.process_from_mm
    rules: list[tuple[npt.NDArray[np.bool_], Region]] = [
        (process & (y <= side.notch_y_mm), "condyle"),
        (process, "coronoid"),
        (behind & (z <= side.angle_below_mm), "angle"),
        (behind, "ramus"),
        (z > np.nan_to_num(crest, nan=np.inf)[:, None] - CREST_MM, "teeth"),
    ]
    return np.select([rule for rule, _ in rules], [REGIONS.index(name) for _, name in rules], 0).astype(np.uint8)


def _side(half: Mask, ramus_until_mm: float, spacing_mm: Spacing) -> Side:
    _, dy, dz = spacing_mm
    z = np.flatnonzero(half.any(axis=(0, 1)))
    low, top = float(z[0]) * dz, float(z[-1]) * dz
    height = top - low
    process_from = top - PROCESS_HEIGHT * height
    below = half[:, :, int((process_from - 0.1 * height) / dz) : int(process_from / dz) + 1]
    y = np.flatnonzero((below if below.any() else half).any(axis=(0, 2))) * dy
    under = half[:, : int(ramus_until_mm / dy) + 1]
    z_under = np.flatnonzero((under if under.any() else half).any(axis=(0, 1)))
    return Side(top, process_from, float(y[0] + y[-1]) / 2, float(z_under[0]) * dz + ANGLE_HEIGHT * height)


def _upper_border(half: Mask) -> npt.NDArray[np.float64]:
    """Index of the highest voxel at each y, NaN if there is none; (Y,)."""
    any_x = np.asarray(half.any(axis=0))  # (Y, Z)
    n = any_x.shape[1]
    return np.where(any_x.any(axis=1), n - 1 - np.argmax(any_x[:, ::-1], axis=1), np.nan)
