"""The dental arch seen from above: a half curve from the midline backwards, with coordinates along and across it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from mandseg.data.phantom.solids import Field

STEP_MM = 1.0
ORIGIN_MM = (-10.0, -45.0)  # x, y of the table's first entry
TABLE_SHAPE = (105, 185)


@dataclass(frozen=True)
class Arch:
    """Curve ``x = half_width * ((front_y - y) / depth) ** power`` for x >= 0, tabled on a 1 mm grid.

    Both sides have the same curve: pass ``abs(x)``.
    """

    points: npt.NDArray[np.float64]  # (N, 2), x and y, midline first, 0.25 mm or less apart
    lengths: npt.NDArray[np.float64]  # (N,), arc length from the midline
    along_table: Field
    across_table: Field

    def along_and_across(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Arc length from the midline and distance outwards from the curve, in mm, for points with ``x >= 0``."""
        where = np.stack([(x - ORIGIN_MM[0]) / STEP_MM, (y - ORIGIN_MM[1]) / STEP_MM])
        along, across = (
            ndimage.map_coordinates(table, where, order=1, mode="nearest", output=np.float32)
            for table in (self.along_table, self.across_table)
        )
        return along, across

    def at(self, along_mm: float) -> tuple[float, float, float, float]:
        """Point (x, y) and unit tangent (x, y), backwards, at an arc length."""
        x, y = (float(np.interp(along_mm, self.lengths, self.points[:, i])) for i in range(2))
        ahead = [float(np.interp(along_mm + 1.0, self.lengths, self.points[:, i])) for i in range(2)]
        tangent = np.array([ahead[0] - x, ahead[1] - y])
        tangent /= np.linalg.norm(tangent)
        return x, y, float(tangent[0]), float(tangent[1])

    def length_to(self, y: float) -> float:
        """Arc length from the midline to the point of the curve at ``y``."""
        return float(np.interp(-y, -self.points[:, 1], self.lengths))


def make_arch(front_y: float, half_width: float, power: float) -> Arch:
    """Table the arch that is ``half_width`` wide at y = 0 and meets the midline at ``front_y``."""
    share = np.linspace(0.0, 1.0, 600) ** 2  # dense at the midline, where the curve turns
    curve = np.stack([half_width * share**power, front_y * (1 - share)], axis=1)
    tail = curve[-1] + np.outer(np.linspace(0.5, 45, 90), [0.0, -1.0])
    points = np.concatenate([curve, tail])
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    even = np.arange(0.0, lengths[-1], 0.25)
    points = np.stack([np.interp(even, lengths, points[:, i]) for i in range(2)], axis=1)
    along, across = _tables(points, even)
    return Arch(points, even, along, across)


def _tables(points: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64]) -> tuple[Field, Field]:
    x, y = (ORIGIN_MM[i] + STEP_MM * np.arange(TABLE_SHAPE[i]) for i in range(2))
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)  # (X, Y, 2)
    distance, nearest = cKDTree(points).query(grid)
    tangent = np.gradient(points, axis=0)[nearest]
    offset = grid - points[nearest]
    outwards = np.sign(offset[..., 1] * tangent[..., 0] - offset[..., 0] * tangent[..., 1])
    return lengths[nearest].astype(np.float32), (outwards * distance).astype(np.float32)
