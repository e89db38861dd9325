"""Masks: bounding box, volume, connected pieces, and the Dice of two."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]  # (X, Y, Z)
Spacing = tuple[float, float, float]  # voxel edge lengths, mm

MM3_PER_ML = 1000.0


def dice(first: Any, second: Any) -> float:
    """Dice of two boolean numpy arrays or torch tensors of one shape; 1 where both are empty."""
    total = _n_voxels(first) + _n_voxels(second)
    return 2 * _n_voxels(first & second) / total if total else 1.0


def bounding_box(*masks: Mask) -> tuple[slice, slice, slice] | None:
    """Find the smallest box that holds every True voxel of all masks; None if there is none."""
    boxes = [box for box in map(_bounding_box, masks) if box is not None]
    if not boxes:
        return None
    x, y, z = (slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))
    return x, y, z


def volume_ml(mask: Mask, spacing_mm: Sequence[float]) -> float:
    """The volume of a mask on a grid with these voxel edge lengths."""
    return float(np.count_nonzero(mask) * np.prod(np.asarray(spacing_mm, dtype=np.float64)) / MM3_PER_ML)


def connected_pieces(mask: Mask, by_corners: bool = False) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    """Number the connected pieces of a mask.

    Args:
        mask: (X, Y, Z).
        by_corners: Whether voxels that share only an edge or a corner are connected (26 neighbours instead of 6).

    Returns:
        The number of each voxel's piece, (X, Y, Z), from 1, and 0 outside; the voxels of each piece, (N,).
    """
    from scipy import ndimage

    pieces, n = ndimage.label(mask, np.ones((3, 3, 3)) if by_corners else None)
    return pieces, np.bincount(pieces.ravel(), minlength=n + 1)[1:]


def _n_voxels(mask: Any) -> int:
    return int(np.count_nonzero(mask) if isinstance(mask, np.ndarray) else mask.sum())


def _bounding_box(mask: Mask) -> tuple[slice, slice, slice] | None:
    """Look along the axis that is slowest in memory first: most of its layers are empty and seen so at once."""
    order = np.argsort([-abs(stride) for stride in mask.strides], kind="stable")
    layers = mask.transpose(order)
    occupied = np.array([layer.any() for layer in layers])
    if not occupied.any():
        return None
    first = _extent(occupied)
    flat = np.logical_or.reduce(layers[first], axis=0)
    box = dict(zip(order.tolist(), (first, _extent(flat.any(axis=1)), _extent(flat.any(axis=0))), strict=True))
    return box[0], box[1], box[2]


def _extent(occupied: npt.ArrayLike) -> slice:
    where = np.flatnonzero(occupied)
    return slice(int(where[0]), int(where[-1]) + 1)
