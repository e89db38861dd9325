"""Traces a slice of a mask as polygons along the edges of the voxels, with holes joined by keyholes.

Readers that test voxel centres reproduce the mask exactly, because every centre is half a voxel or more from an edge. A
keyhole is a channel without width, for readers without support for holes.
"""

import numpy as np
import numpy.typing as npt
from shapely import LinearRing, Polygon, box, unary_union
from shapely.geometry.polygon import orient

Outline = npt.NDArray[np.float64]  # (N, 2): column, row; voxel centres are whole numbers


def outlines(mask: npt.NDArray[np.bool_]) -> list[Outline]:
    """Trace a slice.

    Args:
        mask: (columns, rows).

    Returns:
        One closed polygon for each piece, its last point joined to its first one; pieces that touch at a corner are
        two. An empty slice has none.
    """
    joined = unary_union(_runs(mask))
    pieces = [joined] if isinstance(joined, Polygon) else list(getattr(joined, "geoms", []))
    return [with_keyholes(orient(piece.simplify(0))) for piece in pieces if not piece.is_empty]


def with_keyholes(piece: Polygon) -> Outline:
    """Join a polygon's holes to its outline, each by a channel from its leftmost corner straight to the left."""
    ring = _points(piece.exterior)
    for hole in sorted(
        (_points(interior) for interior in piece.interiors), key=lambda points: float(points[:, 0].min())
    ):
        ring = _joined(ring, hole)
    return ring


def _runs(mask: npt.NDArray[np.bool_]) -> list[Polygon]:
    """Cover the mask with boxes of one row each, as long as the runs of voxels."""
    padded = np.pad(mask.astype(np.int8), ((1, 1), (0, 0)))
    change = np.diff(padded, axis=0)
    starts, ends = np.argwhere(change.T == 1), np.argwhere(change.T == -1)  # (row, column), row by row
    return [
        box(start - 0.5, row - 0.5, end - 0.5, row + 0.5)
        for (row, start), (_, end) in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _points(ring: LinearRing) -> Outline:
    return np.asarray(ring.coords, float)[:-1]


def _joined(ring: Outline, hole: Outline) -> Outline:
    """Insert a hole into a ring: along the ring, through the channel, around the hole and back."""
    corner = int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
    start = hole[corner]
    edge, point = _hit(ring, start)
    around = np.roll(hole, -corner, axis=0)
    return np.concatenate([ring[: edge + 1], [point], around, [start], [point], ring[edge + 1 :]])


def _hit(ring: Outline, start: npt.NDArray[np.float64]) -> tuple[int, npt.NDArray[np.float64]]:
    """Find the first vertical edge to the left of ``start``, and the intersection."""
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], ends[:, 1]), np.maximum(ring[:, 1], ends[:, 1])
    meets = (ring[:, 0] == ends[:, 0]) & (ring[:, 0] <= start[0]) & (low <= start[1]) & (start[1] <= high)
    edge = int(np.where(meets, ring[:, 0], -np.inf).argmax())
    return edge, np.array([ring[edge, 0], start[1]])
