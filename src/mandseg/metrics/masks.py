"""Masks: their bounding box, their volume and the Dice of two; numpy or torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]  # (X, Y, Z)

MM3_PER_ML = 1000.0


def dice(first: Any, second: Any) -> float:
    """Dice of two boolean arrays or tensors of one shape; 1 where both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


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


def _bounding_box(mask: Mask) -> tuple[slice, slice, slice] | None:
    columns = np.asarray(np.any(mask, axis=2))  # (X, Y)
    if not columns.any():
        return None
    x, y = _extent(np.any(columns, axis=1)), _extent(np.any(columns, axis=0))
    return x, y, _extent(np.any(mask[x, y], axis=(0, 1)))


def _extent(occupied: npt.ArrayLike) -> slice:
    where = np.flatnonzero(occupied)
    return slice(int(where[0]), int(where[-1]) + 1)
