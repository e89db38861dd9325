"""A smooth random field on a grid, in mm."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mandseg.metrics.masks import Spacing
from mandseg.metrics.signed_distance import Field, _sample

POINTS_PER_LENGTH = 4  # grid points of a random field for each correlation length


def smooth_field(
    shape: tuple[int, ...], spacing_mm: Spacing, correlation_mm: float | Sequence[float], rng: np.random.Generator
) -> Field:
    """Draw a Gaussian random field with mean 0, standard deviation 1 and a correlation length in mm.

    It is drawn on a coarse grid, which depends on the correlation length, and interpolated linearly.

    Args:
        shape: (X, Y, Z).
        spacing_mm: Voxel edge lengths.
        correlation_mm: One length, or one for each axis; 0 is independent from voxel to voxel.
        rng: The random stream.
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
