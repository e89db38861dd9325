"""Signed distances to the boundary of a mask, in mm."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.metrics.masks import Mask, Spacing

Field = npt.NDArray[np.float32]  # (X, Y, Z)

BLUR_VOXELS = 0.5  # blur of the mask, to place the boundary at fractions of a voxel
BAND_MM = 8.0  # distance to the boundary up to which its place within the voxels is used
NEAREST = 1e-3  # least distance, in mm, of a centre to the boundary, so that no voxel changes its side


def signed_distance_mm(mask: Mask, spacing_mm: Spacing) -> Field:
    """Distance of each voxel centre to the boundary of a mask, in mm, negative inside; its sign reproduces the mask.

    The boundary is where the slightly blurred mask is one half. It is smooth, so that a displacement of less than a
    voxel moves it by exactly this distance in any direction. Distances are computed by fast marching (Sethian 1996;
    scikit-fmm); beyond 8 mm they are distances between voxel centres.

    Args:
        mask: bool, (X, Y, Z).
        spacing_mm: Voxel edge lengths.

    Returns:
        (X, Y, Z); plus or minus the diagonal of the grid if the mask has no boundary.
    """
    import skfmm

    outside = np.where(mask, -1, 1).astype(np.float32)
    if mask.all() or not mask.any():
        return outside * np.float32(np.linalg.norm(np.multiply(mask.shape, spacing_mm)))
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), BLUR_VOXELS, mode="nearest")
    level = outside * np.maximum(outside * (0.5 - blurred), NEAREST)
    near = skfmm.distance(level, dx=list(spacing_mm), order=2, narrow=BAND_MM)
    far = _distance_to(~mask, spacing_mm) + _distance_to(mask, spacing_mm) - 0.5 * min(spacing_mm)
    distance = np.where(np.ma.getmaskarray(near), far, np.maximum(outside * np.ma.getdata(near), NEAREST))
    return np.asarray(outside * distance, np.float32)


def _distance_to(target: Mask, spacing_mm: Spacing) -> Field:
    """Distance of each voxel centre to the nearest centre in a mask, which is not empty."""
    import SimpleITK as sitk  # a sixth of the time of scipy.ndimage.distance_transform_edt, to within 2e-5 mm

    image = sitk.GetImageFromArray(target.astype(np.uint8).T)
    image.SetSpacing([float(s) for s in spacing_mm])
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(np.maximum(sitk.GetArrayFromImage(distance).T, 0.0), np.float32)


def _sample(values: Field, positions: npt.NDArray[np.float64], axis: int) -> Field:
    """Interpolate linearly along an axis at fractional indices."""
    n = values.shape[axis]
    low = np.clip(positions.astype(int), 0, max(n - 2, 0))
    weight = np.expand_dims((positions - low).astype(np.float32), [a for a in range(3) if a != axis])
    high = np.minimum(low + 1, n - 1)
    sampled: Field = np.take(values, low, axis) * (1 - weight) + np.take(values, high, axis) * weight
    return sampled
