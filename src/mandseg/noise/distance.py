"""Signed distances to a mask's boundary and smooth random fields, in mm."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.regions import Mask, Spacing

Field = npt.NDArray[np.float32]  # (X, Y, Z)

FINE_MM = 1.6  # distances are taken on a grid at least this fine
POINTS_PER_LENGTH = 4  # of a random field's own grid, on its correlation length


def signed_distance_mm(mask: Mask, spacing_mm: Spacing) -> Field:
    """Distance of each voxel centre to the mask's boundary, in mm, negative inside; its sign gives the mask back.

    Taken on a finer grid through the voxel centres, on which the mask is interpolated linearly, so that a boundary
    moves by less than a voxel of a coarse scan.
    """
    # odd factors: no point of the finer grid lies halfway between two voxels, where the mask would be undecided
    factors = [2 * int(np.ceil((s / FINE_MM - 1) / 2)) + 1 if s > FINE_MM else 1 for s in spacing_mm]
    fine = mask.astype(np.float32)
    for axis, factor in enumerate(factors):
        fine = _refine(fine, factor, axis)
    fine_spacing = [s / f for s, f in zip(spacing_mm, factors, strict=True)]
    inside = fine >= 0.5
    half = 0.5 * min(fine_spacing)
    distance = np.where(inside, half - _distance_to(~inside, fine_spacing), _distance_to(inside, fine_spacing) - half)
    return np.asarray(distance[tuple(slice(None, None, f) for f in factors)], dtype=np.float32)


def smooth_field(
    shape: tuple[int, ...], spacing_mm: Spacing, correlation_mm: float | Sequence[float], rng: np.random.Generator
) -> Field:
    """Draw a Gaussian random field with mean 0, standard deviation 1 and a correlation length in mm.

    Drawn on a grid as coarse as the correlation length allows and interpolated linearly.

    Args:
        shape: (X, Y, Z).
        spacing_mm: Voxel edge lengths.
        correlation_mm: One length, or one for each axis; 0 is independent from voxel to voxel.
        rng: Source of the draw.
    """
    lengths = np.broadcast_to(np.asarray(correlation_mm, dtype=float), 3)
    steps = np.maximum(np.asarray(spacing_mm), lengths / POINTS_PER_LENGTH)
    extent = (np.array(shape) - 1) * np.asarray(spacing_mm)
    coarse_shape = [int(np.ceil(e / s)) + 1 for e, s in zip(extent, steps, strict=True)]
    white = rng.standard_normal(coarse_shape).astype(np.float32)
    field = ndimage.gaussian_filter(white, list(lengths / 2 / steps), mode="wrap", truncate=3)
    for axis, (n, spacing, step) in enumerate(zip(shape, spacing_mm, steps, strict=True)):
        field = _sample(field, np.arange(n) * spacing / step, axis)
    field -= field.mean()
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def _distance_to(target: Mask, spacing_mm: Spacing | Sequence[float]) -> Field:
    """Distance of each voxel centre to the nearest centre in a mask; the grid's diagonal where the mask is empty."""
    import SimpleITK as sitk  # a sixth of the time of scipy.ndimage.distance_transform_edt, to within 2e-5 mm

    if not target.any():
        return np.full(target.shape, float(np.linalg.norm(np.multiply(target.shape, spacing_mm))), np.float32)
    image = sitk.GetImageFromArray(target.astype(np.uint8).T)
    image.SetSpacing([float(s) for s in spacing_mm])
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(np.maximum(sitk.GetArrayFromImage(distance).T, 0.0), np.float32)


def _refine(values: Field, factor: int, axis: int) -> Field:
    """Insert ``factor - 1`` linearly interpolated planes between each two neighbours along an axis."""
    n = values.shape[axis]
    return values if factor == 1 or n == 1 else _sample(values, np.arange((n - 1) * factor + 1) / factor, axis)


def _sample(values: Field, positions: npt.NDArray[np.float64], axis: int) -> Field:
    """Interpolate linearly along an axis at fractional indices."""
    n = values.shape[axis]
    low = np.clip(positions.astype(int), 0, max(n - 2, 0))
    weight = np.expand_dims((positions - low).astype(np.float32), [a for a in range(3) if a != axis])
    high = np.minimum(low + 1, n - 1)
    sampled: Field = np.take(values, low, axis) * (1 - weight) + np.take(values, high, axis) * weight
    return sampled
