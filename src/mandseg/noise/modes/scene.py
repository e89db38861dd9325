"""The input of a mode: the mandible without errors, its signed distance and regions, and optionally the CT."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mandseg.metrics.masks import Mask, Spacing, bounding_box, connected_pieces
from mandseg.metrics.regions import REGIONS, Landmarks, Region, find_landmarks, region_map
from mandseg.metrics.signed_distance import Field, signed_distance_mm

Hu = npt.NDArray[Any]  # (X, Y, Z), HU, of any number type
Window = tuple[slice, slice, slice]
WINDOW_MM = 15.0  # margin around the mandible; no error reaches farther


@dataclass(frozen=True, eq=False)
class Scene:
    """A mandible in a window of its scan, on RAS+ axes.

    Args:
        mask: The contour without errors, bool, (X, Y, Z), not empty.
        spacing_mm: Voxel edge lengths.
        hu: CT on the same grid, HU; None without a CT.
    """

    mask: Mask
    spacing_mm: Spacing
    hu: Hu | None = None

    @cached_property
    def level_mm(self) -> Field:
        """Signed distance to the contour, (X, Y, Z), mm, negative inside."""
        return signed_distance_mm(self.mask, self.spacing_mm)

    @cached_property
    def landmarks(self) -> Landmarks:
        """The landmarks of the mandible, in mm from the first voxel centre of the window."""
        return find_landmarks(self.mask, self.spacing_mm)

    @cached_property
    def smallest_piece_mm3(self) -> float:
        """Volume of the smallest connected piece of the mandible."""
        return float(pieces_mm3(self.mask, self.spacing_mm)[0].min())

    @cached_property
    def _regions(self) -> npt.NDArray[np.uint8]:
        return region_map(self.landmarks, self.mask.shape, self.spacing_mm)

    def region(self, *names: Region) -> Mask:
        """The voxels of these regions, inside and outside the mandible; (X, Y, Z)."""
        return np.isin(self._regions, [REGIONS.index(name) for name in names])

    def axes_mm(self) -> tuple[Field, Field, Field]:
        """Positions of the voxel centres from the first one, shaped to broadcast along x, y and z."""
        n, (dx, dy, dz) = self.mask.shape, self.spacing_mm
        x, y, z = (np.asarray(np.arange(k) * s, np.float32) for k, s in zip(n, (dx, dy, dz), strict=True))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def ct(self, mode: str) -> Hu:
        """Return the CT for a mode that needs it.

        Raises:
            ValueError: There is no CT.
        """
        if self.hu is None:
            raise ValueError(f"{mode} needs the CT, but only the contour is given")
        return self.hu


def make_scene(mask: Mask, spacing_mm: Spacing, hu: Hu | None = None) -> tuple[Scene, Window]:
    """Cut a mandible with its surroundings out of a scan; also return the window of the scene in the scan.

    Raises:
        ValueError: The mask is empty, or the CT has another shape.
    """
    box = bounding_box(mask)
    if box is None:
        raise ValueError("an empty mask cannot be drawn with an error")
    if hu is not None and hu.shape != mask.shape:
        raise ValueError(f"shape {hu.shape} of the CT differs from {mask.shape} of the mask")
    margins = [int(np.ceil(WINDOW_MM / s)) for s in spacing_mm]
    x, y, z = (slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(box, margins, mask.shape, strict=True))
    window = (x, y, z)
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    return Scene(mask[window], spacing, None if hu is None else hu[window]), window


def pieces_mm3(mask: Mask, spacing_mm: Spacing) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Volumes of the connected pieces of a mask, (N,), and the number of each voxel's piece, or 0 outside."""
    pieces, n_voxels = connected_pieces(mask)
    return np.asarray(n_voxels * np.prod(spacing_mm), np.float64), pieces
