"""Preprocessing: images and labels to one orientation, spacing and crop, and predictions back to the original grid."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mandseg.data.loaded_case import LEAST_VOXELS
from mandseg.data.resampling import crop_to, mask_onto, resample
from mandseg.data.volume import Geometry, Hu, Volume, canonical, from_canonical, rounded_hu, to_canonical
from mandseg.metrics.masks import Mask, bounding_box, connected_pieces
from mandseg.system.errors import UserError, one_line

if TYPE_CHECKING:
    import torch

BODY_HU = -300  # above air, lung and foam; below fat
BODY_SMOOTH_MM = 8.0  # thinner objects (couch sheets, mask, tubes) are not body

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
        except (ValueError, MemoryError) as error:
            raise UserError(f"{where}, it cannot be resampled to {self.spacing_mm} mm ({one_line(error)})") from error
        return Volume(np.ascontiguousarray(rounded_hu(image.array)), image.affine)

    def label(self, label: Volume, grid: Geometry) -> Label:
        """Resample a mask on RAS+ axes to the preprocessed grid: linear interpolation, then a threshold of 0.5."""
        return mask_onto(label, grid).astype(np.uint8)


def mask_on_original(soft: Volume, original: Geometry) -> Mask:
    """Where values of a preprocessed grid are 0.5 or more, on the image file's grid and axis order, (X, Y, Z).

    The values are interpolated linearly; outside the body crop they are 0.
    """
    return np.asarray(from_canonical(mask_onto(soft, canonical(original)), original))


def body_window(
    hu: npt.NDArray[np.generic], spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[slice, ...]:
    """Find the box around the body with a margin; the complete volume if nothing is denser than air."""
    step = [max(1, round(BODY_SMOOTH_MM / 2 / s)) for s in spacing_mm]
    coarse = np.greater(hu[:: step[0], :: step[1], :: step[2]], BODY_HU)
    pieces, n_voxels = connected_pieces(_opened(coarse))
    if not n_voxels.size:
        return tuple(slice(0, size) for size in hu.shape)
    box = bounding_box(pieces == 1 + int(np.argmax(n_voxels)))
    assert box is not None  # a piece has voxels
    margins = [round(margin_mm / s) for s in spacing_mm]
    return tuple(
        slice(max((b.start - 1) * k - m, 0), min((b.stop + 1) * k + m, size))
        for b, k, m, size in zip(box, step, margins, hu.shape, strict=True)
    )


def _opened(mask: Mask) -> Mask:
    """Take a voxel off the surface of a mask and put it on again, which removes what is thin.

    The neighbours of a voxel are the six that share a face. Outside the volume is no mask.
    """
    eroded = mask.copy(order="K")  # mixed orders in memory would be slow
    for axis in range(3):
        low, high = _shifted(axis)
        eroded[low] &= mask[high]
        eroded[high] &= mask[low]
        eroded.swapaxes(0, axis)[[0, -1]] = False
    opened = eroded.copy(order="K")
    for axis in range(3):
        low, high = _shifted(axis)
        opened[low] |= eroded[high]
        opened[high] |= eroded[low]
    return opened


def _shifted(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """All voxels but the last along an axis, and all but the first."""
    before = (slice(None),) * axis
    return (*before, slice(None, -1)), (*before, slice(1, None))
