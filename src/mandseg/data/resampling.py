"""Linear resampling of volumes: to another spacing, and onto another grid with parallel axes."""

from itertools import product
from math import floor

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from mandseg.data.volume import Array, Geometry, Volume, show_mm
from mandseg.metrics.masks import Mask, bounding_box

FWHM_SIGMAS = 2 * np.sqrt(2 * np.log(2))  # full width at half maximum of a Gaussian, in standard deviations
REACH_SIGMAS = 4.0  # beyond, a Gaussian counts as zero
PARALLEL = 1e-6  # voxels that a step along one axis may move along another
SAME_VOXELS = 1e-3  # positions that differ by less are one
SLAB_VOXELS = 2**18  # of one product: its values stay in the processor's cache

Matrix = sparse.csr_array  # (new voxels, old voxels) along an axis, float32


def resample(volume: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    """Resample a volume linearly to a spacing. An axis that becomes coarser is smoothed first.

    The new grid has the centre of the old one and does not reach beyond it. Along an axis, smoothing and interpolation
    are one sparse matrix. The product is summed in the same order with any number of threads.

    Args:
        volume: Values, (X, Y, Z).
        spacing_mm: Voxel edge lengths of the result along the axes of the array.

    Returns:
        float32; the volume's own values where no axis changes.

    Raises:
        ValueError: The volume is smaller than a new voxel.
    """
    old = volume.geometry
    edges = list(zip(old.shape, old.spacing_mm, spacing_mm, strict=True))
    shape = tuple(floor(n * old_mm / new_mm + SAME_VOXELS) for n, old_mm, new_mm in edges)
    if min(shape) < 1:
        raise ValueError(f"{' x '.join(map(str, old.shape))} voxels of {show_mm(old.spacing_mm)} are less than one")
    array = volume.array
    for axis in sorted(range(3), key=lambda axis: shape[axis] / old.shape[axis]):  # the one that shrinks most first
        n, old_mm, new_mm = edges[axis]
        if shape[axis] != n or abs(new_mm / old_mm - 1) * n > SAME_VOXELS:
            array = along(axis, axis_matrix(n, shape[axis], new_mm / old_mm), array)
    affine = volume.affine.copy()
    affine[:3, :3] *= np.divide(spacing_mm, old.spacing_mm)
    affine[:3, 3] += volume.affine[:3, :3] @ _centre(old.shape) - affine[:3, :3] @ _centre(shape)
    return Volume(array, affine)


def axis_matrix(n: int, n_new: int, step: float) -> Matrix:
    """The matrix that maps ``n`` values along an axis to ``n_new`` values, ``step`` old voxels apart, about one centre.

    Beyond the ends the outermost value continues. A step above 1 smooths by a Gaussian first, with which the width of
    an old voxel's point spread function becomes that of a new voxel (Cardoso et al. 2015, doi
    10.1007/978-3-319-24571-3_81; TorchIO has the same).

    Returns:
        (n_new, n); each row adds up to 1.
    """
    matrix = interpolation(np.clip((n - 1) / 2 + (np.arange(n_new) - (n_new - 1) / 2) * step, 0, n - 1), n)
    if step > 1:
        sigma = np.sqrt(step**2 - 1) / FWHM_SIGMAS
        offsets = np.arange(-np.ceil(REACH_SIGMAS * sigma), np.ceil(REACH_SIGMAS * sigma) + 1).astype(int)
        weights = np.exp(-((offsets / sigma) ** 2) / 2)
        columns = np.clip(np.arange(n)[:, None] + offsets, 0, n - 1)
        matrix = matrix @ _matrix(np.broadcast_to(weights / weights.sum(), columns.shape), columns, n)
    return matrix.astype(np.float32)


def interpolation(places: npt.NDArray[np.float64], n: int) -> Matrix:
    """The matrix of linear interpolation at places (R,), in voxels, among ``n`` voxels; zeros for a place outside."""
    inside = (places > -SAME_VOXELS) & (places < n - 1 + SAME_VOXELS)
    low = np.clip(np.floor(places).astype(int), 0, max(n - 2, 0))
    share = np.clip(places - low, 0, 1)
    weights = np.stack([1 - share, share], axis=1) * inside[:, None]
    return _matrix(weights, np.stack([low, np.minimum(low + 1, n - 1)], axis=1), n).astype(np.float32)


def along(axis: int, matrix: Matrix, array: Array) -> npt.NDArray[np.float32]:
    """Multiply each line of a volume (X, Y, Z) along an axis by a matrix; a slab of lines at a time."""
    n_new, n = matrix.shape
    shape = tuple(n_new if k == axis else size for k, size in enumerate(array.shape))
    out = np.empty(shape, np.float32)
    sliced = max((k for k in range(3) if k != axis), key=lambda k: abs(array.strides[k]))
    layers = max(1, SLAB_VOXELS * array.shape[sliced] // array.size)
    for first in range(0, array.shape[sliced], layers):
        slab = tuple(slice(first, first + layers) if k == sliced else slice(None) for k in range(3))
        lines = np.moveaxis(array[slab], axis, 0)
        found = matrix @ np.ascontiguousarray(lines, dtype=np.float32).reshape(n, -1)
        out[slab] = np.moveaxis(found.reshape(n_new, *lines.shape[1:]), 0, axis)
    return out


def resample_onto(volume: Volume, grid: Geometry) -> npt.NDArray[np.float32]:
    """Interpolate a volume linearly at the voxel centres of another grid; 0 outside the volume.

    Args:
        volume: Values, (X, Y, Z).
        grid: The grid to sample at. With parallel axes it is done axis by axis, which is much faster.
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    matrix, offset = to_source[:3, :3], to_source[:3, 3]
    if not np.allclose(matrix, np.diag(np.diag(matrix)), atol=PARALLEL):
        values = volume.array.astype(np.float32, copy=False)
        out = ndimage.affine_transform(values, matrix, offset, grid.shape, order=1, mode="constant", prefilter=False)
        return np.asarray(out, dtype=np.float32)
    array = volume.array
    for axis in sorted(range(3), key=lambda axis: grid.shape[axis] / volume.array.shape[axis]):
        places = offset[axis] + matrix[axis, axis] * np.arange(grid.shape[axis])
        array = along(axis, interpolation(places, volume.array.shape[axis]), array)
    return array.astype(np.float32, copy=False)


def mask_onto(values: Volume, grid: Geometry) -> Mask:
    """Where the interpolation of a volume on another grid with parallel axes is 0.5 or more.

    Beyond the ends the outermost value continues for a voxel: the centres of smaller voxels at the border of one image
    lie there. Only the box around values of 0.5 and more is interpolated: elsewhere it is less.
    """
    out = np.zeros(grid.shape, np.bool_)
    box = bounding_box(np.greater_equal(values.array, 0.5))
    if box is None:
        return out
    near = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)  # interpolation reaches 1 voxel
    part = continued(crop_to(values, near))
    target = box_on(part.geometry, grid)
    if all(s.start < s.stop for s in target):
        there = Geometry(tuple(s.stop - s.start for s in target), moved_to(grid.affine, target))
        out[target] = resample_onto(part, there) >= 0.5
    return out


def continued(volume: Volume) -> Volume:
    """Add a voxel at each end of a volume, with the values of its border."""
    return Volume(np.pad(volume.array, 1, mode="edge"), moved_to(volume.affine, (slice(-1, None),) * 3))


def crop_to(volume: Volume, window: tuple[slice, ...]) -> Volume:
    """Cut a box out of a volume and shift the affine accordingly."""
    return Volume(volume.array[window], moved_to(volume.affine, window))


def moved_to(affine: npt.NDArray[np.float64], window: tuple[slice, ...]) -> npt.NDArray[np.float64]:
    """Give the affine of a box that is cut out of a grid."""
    moved = affine.copy()
    moved[:3, 3] = (affine @ [*(s.start for s in window), 1])[:3]
    return moved


def box_on(source: Geometry, grid: Geometry) -> tuple[slice, ...]:
    """Find the box of ``grid`` whose voxel centres lie in the source grid or less than one source voxel outside."""
    ends = [(-1, size) for size in source.shape]
    corners = np.array([[*corner, 1] for corner in product(*ends)])
    places = (np.linalg.inv(grid.affine) @ source.affine @ corners.T)[:3]
    low = np.clip(np.floor(places.min(axis=1)), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(places.max(axis=1)) + 1, 0, grid.shape).astype(int)
    return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))


def _centre(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return (np.array(shape, dtype=np.float64) - 1) / 2


def _matrix(weights: npt.NDArray[np.float64], columns: npt.NDArray[np.intp], n: int) -> Matrix:
    """Rows of weights (R, W) at columns (R, W) of ``n``; weights at the same column add up."""
    rows = np.repeat(np.arange(len(weights)), weights.shape[1])
    return sparse.csr_array((weights.ravel(), (rows, columns.ravel())), shape=(len(weights), n))
