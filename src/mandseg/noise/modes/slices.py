"""Errors of drawing in slices: polygons, an unsteady hand, interpolated slices, missing end slices."""

from dataclasses import dataclass
from typing import cast

import contourpy
import numpy as np
import numpy.typing as npt
import shapely

from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode, severity_scaled
from mandseg.noise.modes.random_field import smooth_field
from mandseg.noise.modes.scene import Scene

Points = npt.NDArray[np.float64]  # (N, 2) mm
BAND_MM = 4.0  # a polygon changes the distance this near to the contour, or twice its tolerance


@dataclass(frozen=True)
class Polygon(Mode):
    """Each axial contour is a polygon of few clicked points.

    Points are omitted as long as the polygon stays within a tolerance of the contour (Douglas and Peucker 1973).

    Args:
        tolerance_mm: Largest distance of an omitted point.
    """

    tolerance_mm: float = severity_scaled(1.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Replace the distance near the contour of each slice by the distance to the polygon."""
        if self.tolerance_mm == 0 or min(level_mm.shape[:2]) < 2:
            return level_mm
        drawn = level_mm.copy()
        for k in np.flatnonzero(level_mm.min(axis=(0, 1)) < 0):
            drawn[:, :, k] = self._slice(level_mm[:, :, k], scene.spacing_mm)
        return drawn

    def _slice(self, level_mm: Field, spacing_mm: tuple[float, float, float]) -> Field:
        x, y = (np.arange(n) * s for n, s in zip(level_mm.shape, spacing_mm, strict=False))
        lines = cast(list[Points], contourpy.contour_generator(x, y, level_mm.T).lines(0.0))
        rings = [self._simplified(line) for line in lines if len(line) > 3 and np.allclose(line[0], line[-1])]
        band = np.abs(level_mm) < max(BAND_MM, 2 * self.tolerance_mm)
        if not rings or len(rings) < len(lines):  # a contour at the edge of the scan is not changed
            return level_mm
        i, j = np.nonzero(band)
        drawn = level_mm.copy()
        drawn[i, j] = distance_to_rings(np.stack([x[i], y[j]], axis=1), rings)
        return drawn

    def _simplified(self, ring: Points) -> Points:
        polygon = shapely.simplify(shapely.LineString(ring), self.tolerance_mm)
        kept = shapely.get_coordinates(polygon)
        return kept if len(kept) > 3 else ring  # at least a closed triangle


def distance_to_rings(points: Points, rings: list[Points]) -> npt.NDArray[np.float32]:
    """Signed distance of points, (N, 2), to closed rings, (S + 1, 2), negative inside an odd number of them."""
    nearest = np.full(len(points), np.inf)
    inside = np.zeros(len(points), bool)
    for ring in rings:
        (ax, ay), (run_x, run_y) = ring[:-1].T, np.diff(ring, axis=0).T  # (S,) each
        to_x, to_y = points[:, :1] - ax, points[:, 1:] - ay  # (N, S)
        share = np.clip((to_x * run_x + to_y * run_y) / np.maximum(run_x**2 + run_y**2, 1e-12), 0, 1)
        nearest = np.minimum(nearest, ((to_x - share * run_x) ** 2 + (to_y - share * run_y) ** 2).min(axis=1))
        crosses = (ring[:-1, 1] > points[:, 1:]) != (ring[1:, 1] > points[:, 1:])
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = to_x < to_y * run_x / run_y
        inside ^= (crosses & ahead).sum(axis=1) % 2 == 1
    return np.asarray(np.where(inside, -1, 1) * np.sqrt(nearest), np.float32)


@dataclass(frozen=True)
class HandJitter(Mode):
    """An unsteady hand: errors that are smooth along a slice's contour and independent of the next slice (our own).

    Args:
        amplitude_mm: Standard deviation of the displacement along the contour.
        correlation_mm: Its correlation length along the contour.
        slice_mm: Standard deviation of a displacement of the complete slice.
    """

    amplitude_mm: float = severity_scaled(0.5)
    correlation_mm: float = 6.0
    slice_mm: float = severity_scaled(0.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Subtract the displacement of each slice."""
        lengths = (self.correlation_mm, self.correlation_mm, 0.0)
        jitter = smooth_field(level_mm.shape, scene.spacing_mm, lengths, rng)
        of_slice = np.asarray(rng.standard_normal(level_mm.shape[2]), np.float32)
        return np.asarray(level_mm - self.amplitude_mm * jitter - self.slice_mm * of_slice, np.float32)


@dataclass(frozen=True)
class EveryNth(Mode):
    """Every n-th axial slice is drawn, the others are interpolated (shape-based: Raya and Udupa 1990).

    Args:
        n: One slice in n is drawn, and always the first and the last slice of the mandible.
        share: Weight of the interpolated contour, up to 1.
    """

    n: int = 2
    share: float = severity_scaled(1.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Interpolate the signed distance linearly between drawn slices."""
        z = np.flatnonzero(scene.mask.any(axis=(0, 1)))
        drawn = np.unique(np.append(np.arange(z[0], z[-1] + 1, self.n), z[-1]))
        share = np.float32(min(self.share, 1.0))
        if self.n == 1 or len(drawn) < 2 or share == 0:
            return level_mm
        between = np.arange(z[0], z[-1] + 1)
        upper = np.clip(np.searchsorted(drawn, between), 1, len(drawn) - 1)
        z0, z1 = drawn[upper - 1], drawn[upper]
        weight = ((between - z0) / (z1 - z0)).astype(np.float32)
        interpolated = level_mm[:, :, z0] * (1 - weight) + level_mm[:, :, z1] * weight
        result = level_mm.copy()
        result[:, :, between] = (1 - share) * level_mm[:, :, between] + share * interpolated
        return result


@dataclass(frozen=True)
class DroppedEnds(Mode):
    """The uppermost and lowest slices are not drawn; their number varies by half between cases (our own).

    Args:
        top_mm: Height missing at the top.
        bottom_mm: Height missing at the bottom.
    """

    top_mm: float = severity_scaled(5.0)
    bottom_mm: float = severity_scaled(0.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Cut by planes; at least a third of the mandible is kept."""
        top, bottom = rng.uniform(0.5, 1.5, 2) * (self.top_mm, self.bottom_mm)
        z = scene.axes_mm()[2]
        where = np.flatnonzero(scene.mask.any(axis=(0, 1)))
        half = scene.spacing_mm[2] / 2
        low, high = where[0] * scene.spacing_mm[2] - half, where[-1] * scene.spacing_mm[2] + half
        third = (high - low) / 3
        if top > 0:
            level_mm = np.maximum(level_mm, z - (high - min(top, third)))
        if bottom > 0:
            level_mm = np.maximum(level_mm, low + min(bottom, third) - z)
        return np.asarray(level_mm, np.float32)
