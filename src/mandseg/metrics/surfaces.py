"""Surfaces of two masks and the distances between them, in mm.

The definitions are those of DeepMind (Nikolov et al. 2018, arXiv 1809.04430; package surface-distance). A surface
element lies at each voxel corner whose eight voxels differ. Its area is the area of the marching-cubes patch there. Its
distance is the distance to the nearest element of the other surface.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mandseg.metrics.masks import Mask

Floats = npt.NDArray[np.float64]

TIE_MM = 1e-4  # added to a tolerance: rounding of float32 headers and oblique affines must not decide ties


@dataclass(frozen=True)
class Surfaces:
    """The surface elements of two masks: the distance of each to the other surface and its area, sorted by distance."""

    distances_gt_to_pred: Floats  # (N,) mm
    areas_gt: Floats  # (N,) mm^2
    distances_pred_to_gt: Floats  # (M,) mm
    areas_pred: Floats  # (M,) mm^2


def surfaces(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> Surfaces:
    """Compute the surface elements of two masks, which are not empty, and their distances to each other.

    The numbers are bit-identical to ``surface_distance.compute_surface_distances`` and take a third of its time: a k-d
    tree finds the nearest elements, and only for elements that the surfaces do not share. The package transforms the
    complete grid. Elements at equal distance are sorted by area, as in the package.
    """
    spacing = tuple(float(s) for s in spacing_mm)
    of_gt, of_pred = _elements(reference, spacing), _elements(prediction, spacing)
    return Surfaces(*_sorted_distances(of_gt, of_pred, spacing), *_sorted_distances(of_pred, of_gt, spacing))


@dataclass(frozen=True)
class _Elements:
    """The elements of one surface, in the order of the grid of voxel corners."""

    corners: npt.NDArray[np.intp]  # (N,) positions in the flattened grid
    areas: Floats  # (N,) mm^2
    shape: tuple[int, ...]  # of the grid of corners

    @property
    def positions(self) -> npt.NDArray[np.intp]:
        """(N, 3) corner numbers."""
        return np.stack(np.unravel_index(self.corners, self.shape), axis=1)


def _elements(mask: Mask, spacing_mm: tuple[float, ...]) -> _Elements:
    """Encode the eight voxels around each corner as one byte; a corner where they differ is a surface element."""
    from surface_distance.lookup_tables import ENCODE_NEIGHBOURHOOD_3D_KERNEL as BITS

    padded = np.pad(mask, 1).view(np.uint8)
    shape = tuple(n + 1 for n in mask.shape)
    codes = np.zeros(shape, np.uint8)
    for (i, j, k), bit in np.ndenumerate(BITS):
        codes += padded[i : i + shape[0], j : j + shape[1], k : k + shape[2]] * np.uint8(bit)
    corners = np.flatnonzero((codes != 0) & (codes != 255))
    return _Elements(corners, _area_of_code(spacing_mm)[codes.ravel()[corners]], shape)


@lru_cache(maxsize=64)
def _area_of_code(spacing_mm: tuple[float, ...]) -> Floats:
    """The area of the marching-cubes patch for each of the 256 codes; (256,) mm^2."""
    from surface_distance.lookup_tables import create_table_neighbour_code_to_surface_area

    return np.asarray(create_table_neighbour_code_to_surface_area(spacing_mm), np.float64)


def _sorted_distances(own: _Elements, other: _Elements, spacing_mm: tuple[float, ...]) -> tuple[Floats, Floats]:
    """The distance of each own element to the nearest other one and its area, sorted by distance, then by area."""
    from scipy.spatial import cKDTree

    distances_mm = np.zeros(len(own.corners))
    apart = np.isin(own.corners, other.corners, assume_unique=True, invert=True)
    if apart.any():
        positions, others = own.positions[apart], other.positions
        tree = cKDTree(others * np.array(spacing_mm), balanced_tree=False, compact_nodes=False)
        nearest = tree.query(positions * np.array(spacing_mm))[1]
        steps_mm = (positions - others[nearest]).astype(np.float64) * np.array(spacing_mm)
        distances_mm[apart] = np.sqrt(np.add.reduce(np.square(steps_mm).T, axis=0))
    # two columns of one array, as in the package: in separate arrays a scalar product sums in another order
    found = np.column_stack((distances_mm, own.areas))[np.lexsort((own.areas, distances_mm))]
    return found[:, 0], found[:, 1]


def hd95_mm(found: Surfaces) -> float:
    """Take the larger of the two directed distances within which 95 % of a surface's area lies."""
    return max(
        _percentile(found.distances_gt_to_pred, found.areas_gt, 0.95),
        _percentile(found.distances_pred_to_gt, found.areas_pred, 0.95),
    )


def assd_mm(found: Surfaces) -> float:
    """Average the distances of both surfaces together, each element weighted by its area (both in one sum)."""
    area = found.areas_gt.sum() + found.areas_pred.sum()
    weighted = found.distances_gt_to_pred @ found.areas_gt + found.distances_pred_to_gt @ found.areas_pred
    return float(weighted / area)


def nsd(found: Surfaces, tolerance_mm: float) -> float:
    """Surface Dice: the share of both surfaces' area that lies within ``tolerance_mm`` of the other surface."""
    limit_mm = tolerance_mm + TIE_MM
    near_gt = found.areas_gt[found.distances_gt_to_pred <= limit_mm].sum()
    near_pred = found.areas_pred[found.distances_pred_to_gt <= limit_mm].sum()
    return float((near_gt + near_pred) / (found.areas_gt.sum() + found.areas_pred.sum()))


def _percentile(distances_mm: Floats, areas: Floats, share: float) -> float:
    index = int(np.searchsorted(np.cumsum(areas) / areas.sum(), share))  # the last share is 1
    return float(distances_mm[index])
