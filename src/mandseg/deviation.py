"""How far a drawn contour lies from its reference, and where: signed, in mm, at every vertex of the reference surface.

Two masks on one grid in, on RAS+ axes; a triangle mesh of the reference out, with the displacement, the region and the
area of each vertex.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.metrics import bounding_box
from mandseg.noise.distance import signed_distance_mm
from mandseg.regions import REGIONS, Mask, Region, Spacing, find_landmarks, region_map

Floats = npt.NDArray[np.float64]

MARGIN_VOXELS = 2  # of air round both masks, so that every surface is closed


@dataclass(frozen=True, eq=False)
class Deviation:
    """The surface of a reference and how far the drawn contour is displaced from it.

    Args:
        vertices_mm: (N, 3), from the grid's first voxel centre, on RAS+ axes.
        faces: (M, 3), indices of vertices.
        displacement_mm: (N,), positive where the drawn contour lies outside the reference, negative where inside; what
            was not drawn at all is displaced inward by the distance to what was.
        regions: (N,), index in ``mandseg.regions.REGIONS``.
    """

    vertices_mm: Floats
    faces: npt.NDArray[np.int64]
    displacement_mm: Floats
    regions: npt.NDArray[np.uint8]

    @cached_property
    def areas_mm2(self) -> Floats:
        """Area of the surface that belongs to each vertex: a third of every triangle that it is a corner of; (N,)."""
        a, b, c = (self.vertices_mm[self.faces[:, corner]] for corner in range(3))
        thirds = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
        areas = np.bincount(self.faces.ravel(), np.repeat(thirds, 3), minlength=len(self.vertices_mm))
        return np.asarray(areas, np.float64)

    def mean_mm(self, region: Region | None = None) -> float | None:
        """Mean displacement over the surface, or over a region of it; None where the reference has no such region."""
        return self._mean(self.displacement_mm, region)

    def spread_mm(self, region: Region | None = None) -> float | None:
        """Standard deviation of the displacement over the surface, or over a region of it; None as above."""
        mean = self.mean_mm(region)
        squares = None if mean is None else self._mean((self.displacement_mm - mean) ** 2, region)
        return None if squares is None else float(np.sqrt(squares))

    def _mean(self, values: Floats, region: Region | None) -> float | None:
        chosen = np.full(len(values), True) if region is None else self.regions == REGIONS.index(region)
        area = float(self.areas_mm2[chosen].sum())
        return float(values[chosen] @ self.areas_mm2[chosen]) / area if area > 0 else None


def measure_deviation(drawn: Mask, reference: Mask, spacing_mm: Spacing) -> Deviation:
    """Measure how a drawn contour deviates from its reference.

    Args:
        drawn: bool, (X, Y, Z), on RAS+ axes.
        reference: bool, on the same grid.
        spacing_mm: Voxel edge lengths.

    Raises:
        ValueError: A mask is empty, or the shapes differ.
    """
    from skimage.measure import marching_cubes

    if drawn.shape != reference.shape:
        raise ValueError(f"shape {drawn.shape} of the drawn mask differs from {reference.shape} of the reference")
    for name, mask in (("drawn", drawn), ("reference", reference)):
        if not mask.any():
            raise ValueError(f"the {name} mask is empty: it has no surface")
    box = bounding_box(drawn, reference)
    drawn, reference = (np.pad(mask[box], MARGIN_VOXELS) for mask in (drawn, reference))
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    vertices, faces, _, _ = marching_cubes(signed_distance_mm(reference, spacing), 0.0)
    level_mm = signed_distance_mm(drawn, spacing)
    displacement_mm = -ndimage.map_coordinates(level_mm, vertices.T, order=1, mode="nearest")
    regions = region_map(find_landmarks(reference, spacing), reference.shape, spacing)
    nearest = tuple(np.rint(vertices).astype(int).T)
    corner = np.array([0 if axis is None else axis.start for axis in box or ()]) - MARGIN_VOXELS
    return Deviation(
        (vertices + corner) * spacing,
        faces.astype(np.int64),
        displacement_mm.astype(np.float64),
        regions[nearest],
    )
