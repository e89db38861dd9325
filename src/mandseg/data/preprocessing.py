"""Preprocessing: images and labels to one orientation, spacing and crop, and predictions back to the original grid."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.loaded_case import LEAST_VOXELS
from mandseg.data.volume import AIR_HU, Geometry, Hu, Volume, from_canonical, to_canonical
from mandseg.metrics.masks import bounding_box, connected_pieces
from mandseg.system.errors import UserError

if TYPE_CHECKING:
    import torch

BODY_HU = -300  # above air, lung and foam; below fat
BODY_SMOOTH_MM = 8.0  # thinner objects (couch sheets, mask, tubes) are not body

SLAB_VOXELS = 4_000_000  # resampled at a time, 16 MB

Label = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class HuWindow:
    """The HU range that the network sees, scaled to [-1, 1]."""

    low: float
    high: float

    def __call__(self, hu: Hu) -> "torch.Tensor":
        """Scale (X, Y, Z) HU to float32 in [-1, 1]; values outside the window are clipped."""
        import torch  # here, because reading and preparing a cohort does not need it

        scaled = hu.astype(np.float32)
        scaled -= self.low
        scaled *= 2 / (self.high - self.low)
        scaled -= 1
        return torch.from_numpy(np.clip(scaled, -1, 1, out=scaled))


def crop(volume: npt.NDArray[Any], corner: npt.NDArray[np.int64], size: npt.NDArray[Any], fill: int) -> Any:
    """Cut a box out of a volume; voxels outside the volume get the value ``fill``.

    Args:
        volume: (X, Y, Z), possibly memory-mapped: only the box is read.
        corner: The lowest voxel of the box, possibly negative.
        size: The size of the box in voxels.
        fill: Value outside the volume.
    """
    low, high = np.maximum(corner, 0), np.minimum(corner + size, volume.shape)
    inside = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    out = np.full(tuple(size), fill, dtype=volume.dtype)
    target = tuple(slice(a, a + s.stop - s.start) for a, s in zip(np.minimum(low - corner, size), inside, strict=True))
    out[target] = volume[inside]
    return out


@dataclass(frozen=True)
class Preprocessing:
    """The settings of the preprocessing.

    Args:
        spacing_mm: Voxel size of the network's grid, on RAS+ axes.
        margin_mm: Margin of air around the body.
    """

    spacing_mm: tuple[float, float, float]
    margin_mm: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in self.spacing_mm))
        if len(self.spacing_mm) != 3 or not all(s > 0 for s in self.spacing_mm):
            raise UserError(f"preprocessing.spacing_mm={list(self.spacing_mm)}: expected three lengths in mm")

    def image(self, image: Volume, name: str = "the image") -> Volume:
        """Reorient an image (HU), crop it to the body and resample it linearly: int16 HU on RAS+ axes.

        Args:
            image: The image.
            name: Its name in messages.

        Raises:
            UserError: The body is too thin or the grid too large for resampling.
        """
        image = to_canonical(image)
        window = body_window(image.array, image.geometry.spacing_mm, self.margin_mm)
        body = crop_to(image, window)
        where = f"{name} has {' x '.join(map(str, body.array.shape))} voxels around the body"
        if min(body.array.shape) < LEAST_VOXELS:
            raise UserError(f"{where}, expected at least {LEAST_VOXELS} along each axis")
        try:
            image = resample(body, self.spacing_mm)
        except (RuntimeError, MemoryError) as error:  # ITK raises both
            reason = str(error).strip().splitlines()[-1:]
            raise UserError(f"{where}, it cannot be resampled to {self.spacing_mm} mm ({''.join(reason)})") from error
        hu = np.clip(np.rint(image.array), AIR_HU, 3071).astype(np.int16)
        return Volume(np.ascontiguousarray(hu), image.affine)

    def label(self, label: Volume, grid: Geometry) -> Label:
        """Resample a mask on RAS+ axes to the preprocessed grid: linear interpolation, then a threshold of 0.5.

        Only the box around the mask is resampled; the rest is 0.
        """
        out = np.zeros(grid.shape, np.uint8)
        box = bounding_box(label.array != 0)
        if box is None:
            return out
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)  # the interpolation reaches one voxel
        mask = crop_to(label, around)
        target = box_on(mask.geometry, grid)
        if all(s.start < s.stop for s in target):
            part = Geometry(tuple(s.stop - s.start for s in target), moved_to(grid.affine, target))
            out[target] = resample_onto(Volume(mask.array.astype(np.float32), mask.affine), part) >= 0.5
        return out


def resample(volume: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    """Resample a volume on RAS+ axes linearly to a spacing; coarser axes are smoothed first (TorchIO)."""
    import torch
    import torchio as tio

    image = tio.ScalarImage(tensor=torch.from_numpy(volume.array.astype(np.float32))[None], affine=volume.affine)
    out = tio.Resample(spacing_mm, image_interpolation="linear", antialias=True)(image)
    return Volume(out.numpy()[0], np.asarray(out.affine))


def resample_onto(volume: Volume, grid: Geometry, fill: float = 0.0) -> npt.NDArray[np.float32]:
    """Interpolate a volume linearly at the voxel centres of another grid with parallel axes.

    Args:
        volume: Values, (X, Y, Z).
        grid: The grid to sample at.
        fill: The value outside the volume.
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    matrix = to_source[:3, :3]
    if np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-6):
        matrix = np.diag(matrix)  # scipy then works axis by axis, which is much faster
    values = volume.array.astype(np.float32, copy=False)
    out = ndimage.affine_transform(
        values, matrix, to_source[:3, 3], grid.shape, order=1, mode="constant", cval=fill, prefilter=False
    )
    return np.asarray(out, dtype=np.float32)


def back_to_original(soft: Volume, original: Geometry) -> npt.NDArray[np.float32]:
    """Resample values from a preprocessed grid to the image file's grid and axis order; 0 outside the body crop."""
    return np.asarray(from_canonical(resample_onto(soft, canonical_grid(original)), original))


def reached_on_original(soft: Volume, original: Geometry, threshold: float) -> npt.NDArray[np.bool_]:
    """Where values of a preprocessed grid reach a threshold on the image file's grid and axis order.

    The same as ``back_to_original(...) >= threshold``. Only the box around values that reach it is resampled, slab by
    slab, so the memory is that of one mask.

    Args:
        soft: Values on the preprocessed grid.
        original: The image file's grid.
        threshold: Above 0; the outside of the body crop does not reach it.
    """
    canonical = canonical_grid(original)
    out = np.zeros(canonical.shape, np.bool_)
    if (box := bounding_box(soft.array >= threshold)) is not None:
        part = crop_to(soft, tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box))
        x, y, z = box_on(part.geometry, canonical)
        step = max(1, SLAB_VOXELS // max(1, (x.stop - x.start) * (y.stop - y.start)))
        for start in range(z.start, z.stop, step):
            slab = (x, y, slice(start, min(start + step, z.stop)))
            grid = Geometry(tuple(s.stop - s.start for s in slab), moved_to(canonical.affine, slab))
            out[slab] = resample_onto(part, grid) >= threshold
    return np.asarray(from_canonical(out, original))


def canonical_grid(original: Geometry) -> Geometry:
    """A grid on RAS+ axes with the same voxels."""
    return to_canonical(Volume(np.broadcast_to(np.float32(0), original.shape), original.affine)).geometry


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


def body_window(
    hu: npt.NDArray[np.generic], spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[slice, ...]:
    """Find the box around the body with a margin; the complete volume if nothing is denser than air."""
    step = [max(1, round(BODY_SMOOTH_MM / 2 / s)) for s in spacing_mm]
    coarse = ndimage.binary_opening(np.greater(hu[:: step[0], :: step[1], :: step[2]], BODY_HU), iterations=1)
    pieces, n_voxels = connected_pieces(coarse)
    if not n_voxels.size:
        return tuple(slice(0, size) for size in hu.shape)
    box = bounding_box(pieces == 1 + int(np.argmax(n_voxels)))
    assert box is not None  # a piece has voxels
    margins = [round(margin_mm / s) for s in spacing_mm]
    return tuple(
        slice(max((b.start - 1) * k - m, 0), min((b.stop + 1) * k + m, size))
        for b, k, m, size in zip(box, step, margins, hu.shape, strict=True)
    )
