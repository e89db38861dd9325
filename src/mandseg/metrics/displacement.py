"""Signed displacement of a drawn contour from its reference, in mm, at every vertex of the reference surface.

The input is two masks on one grid, on RAS+ axes. The output is a triangle mesh of the reference with the displacement,
the region and the area of each vertex.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.metrics.division import MANDIBLE, Division
from mandseg.metrics.masks import Mask, Spacing, bounding_box
from mandseg.metrics.signed_distance import signed_distance_mm

Floats = npt.NDArray[np.float64]

MARGIN_VOXELS = 2  # background around both masks, so that every surface is closed


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of a reference.

    Args:
        vertices_mm: (N, 3), from the grid's first voxel centre, on RAS+ axes.
        faces: (M, 3), indices of vertices.
        regions: (N,), index in ``division.regions``.
        areas_mm2: (N,), area of each vertex: a third of the area of its triangles.
        division: How the reference is divided into regions.
    """

    vertices_mm: Floats
    faces: npt.NDArray[np.int64]
    regions: npt.NDArray[np.uint8]
    areas_mm2: Floats
    division: Division


@dataclass(frozen=True, eq=False)
class Deviation(Surface):
    """The surface of a reference and the displacement of a drawn contour from it.

    Args:
        displacement_mm: (N,), positive where the drawn contour lies outside the reference, negative where inside. At a
            part that was not drawn, it is minus the distance to the drawn contour.
    """

    displacement_mm: Floats

    def mean_mm(self, region: str | None = None) -> float | None:
        """Mean displacement over the surface, or over a region of it; None where the reference has no such region."""
        return self._mean(self.displacement_mm, region)

    def spread_mm(self, region: str | None = None) -> float | None:
        """Standard deviation of the displacement over the surface, or over a region of it; None as above."""
        mean = self.mean_mm(region)
        squares = None if mean is None else self._mean((self.displacement_mm - mean) ** 2, region)
        return None if squares is None else float(np.sqrt(squares))

    def _mean(self, values: Floats, region: str | None) -> float | None:
        chosen = np.full(len(values), True) if region is None else self.regions == self.division.regions.index(region)
        area = float(self.areas_mm2[chosen].sum())
        return float(values[chosen] @ self.areas_mm2[chosen]) / area if area > 0 else None


def measure_deviation(
    drawn: Mask,
    reference: Mask,
    spacing_mm: Spacing,
    surface: Surface | None = None,
    division: Division = MANDIBLE,
) -> Deviation:
    """Measure how a drawn contour deviates from its reference.

    Args:
        drawn: bool, (X, Y, Z), on RAS+ axes.
        reference: bool, on the same grid.
        spacing_mm: Voxel edge lengths.
        surface: The result of ``find_surface`` for the reference, to measure many contours against one.
        division: How the reference is divided, if there is no surface yet.

    Raises:
        ValueError: A mask is empty, or the shapes differ.
    """
    if drawn.shape != reference.shape:
        raise ValueError(f"shape {drawn.shape} of the drawn mask differs from {reference.shape} of the reference")
    surface = surface or find_surface(reference, spacing_mm, division)
    if not drawn.any():
        raise ValueError("the drawn mask is empty: it has no surface")
    near, corner = _cut_out(drawn, bounding_box(drawn, reference))
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    places = (surface.vertices_mm / spacing - corner).T
    displacement_mm = -ndimage.map_coordinates(signed_distance_mm(near, spacing), places, order=1, mode="nearest")
    return Deviation(**vars(surface), displacement_mm=displacement_mm.astype(np.float64))


def find_surface(reference: Mask, spacing_mm: Spacing, division: Division = MANDIBLE) -> Surface:
    """Find the surface of a reference, bool, (X, Y, Z), on RAS+ axes, and the region of each vertex.

    Raises:
        ValueError: It is empty.
    """
    from skimage.measure import marching_cubes

    if not reference.any():
        raise ValueError("the reference mask is empty: it has no surface")
    near, corner = _cut_out(reference, bounding_box(reference))
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    vertices, faces, _, _ = marching_cubes(signed_distance_mm(near, spacing), 0.0)
    regions = division.divide(near, spacing)
    vertices_mm = np.asarray((vertices + corner) * spacing, np.float64)
    nearest = tuple(np.rint(vertices).astype(int).T)
    return Surface(vertices_mm, faces.astype(np.int64), regions[nearest], _areas_mm2(vertices_mm, faces), division)


def _cut_out(mask: Mask, box: tuple[slice, slice, slice] | None) -> tuple[Mask, npt.NDArray[np.intp]]:
    """Cut a box out and pad it with background; also return the grid index of its first voxel."""
    assert box is not None  # the mask is not empty
    return np.pad(mask[box], MARGIN_VOXELS), np.array([axis.start for axis in box]) - MARGIN_VOXELS


def _areas_mm2(vertices_mm: Floats, faces: npt.NDArray[np.integer]) -> Floats:
    a, b, c = (vertices_mm[faces[:, corner]] for corner in range(3))
    thirds = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.asarray(np.bincount(faces.ravel(), np.repeat(thirds, 3), minlength=len(vertices_mm)), np.float64)
