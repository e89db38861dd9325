"""The augmentation of a training patch: a rotation with a change of size, a mirror image, and noise.

All spatial changes are one resampling of the volume itself. So the corners of a rotated patch contain the voxels that
lie there in the CT, and no padding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mandseg.data.preprocessing import Label, crop
from mandseg.metrics.masks import bounding_box
from mandseg.system.errors import UserError
from mandseg.training.loading.affine import Matrix, Vector, Voxels, box_of_image, resample, rotation

LARGEST_ROTATION_DEGREES = 45.0  # beyond it the resampling needs another order of the axes
LEAST_SHARE = 0.25  # a voxel with less of the structure is outside

Read = Callable[[Voxels, Voxels], torch.Tensor]  # lowest voxel and size of a box -> its values, (X, Y, Z) float32


@dataclass(frozen=True)
class Change:
    """What is done to one patch.

    Args:
        matrix_mm: From a place in the patch to the place in the CT whose value it shows, in mm from the patch's centre;
            None: the patch is cut out as it is.
        is_mirrored: Whether left and right change places.
        noise_sd: Standard deviation of the noise, on the network's scale.
        noise_seed: Seed of the noise.
    """

    matrix_mm: Matrix | None = None
    is_mirrored: bool = False
    noise_sd: float = 0.0
    noise_seed: int = 0

    def image(self, read: Read, corner: Voxels, size: Voxels, spacing_mm: Vector) -> torch.Tensor:
        """The changed patch of an image, (X, Y, Z) float32.

        Args:
            read: Reads a box of the image, on the network's scale; it may lie outside the volume.
            corner: The patch's lowest voxel.
            size: Its voxels.
            spacing_mm: The size of a voxel.
        """
        if self.matrix_mm is None:
            patch = read(corner, size)
        else:
            matrix, offset = _in_voxels(self.matrix_mm, corner, size, spacing_mm)
            low, high = box_of_image(matrix, offset, np.zeros(3, np.int64), size)
            patch = resample(read(low, high - low), matrix, offset - low, size)
        patch = (patch.flip(0) if self.is_mirrored else patch).contiguous()
        if self.noise_sd > 0:
            stream = torch.Generator().manual_seed(self.noise_seed)
            patch.add_(torch.empty_like(patch).normal_(generator=stream), alpha=self.noise_sd)
        return patch

    def label(self, volume: Label, corner: Voxels, size: Voxels, spacing_mm: Vector) -> torch.Tensor:
        """The changed patch of a mask, (X, Y, Z) float32, 0 or 1.

        The linear interpolation of the mask gives the share of each voxel that is inside. Losses and methods take
        labels of 0 and 1, so the voxels with the largest shares are inside, as many as the shares add up to. A fixed
        threshold of 0.5 rounds off edges: it took 1 to 4 % of the volume of thin arches. Only the box around the mask
        is resampled; the rest is 0.
        """
        if self.matrix_mm is None:
            patch = torch.from_numpy(crop(volume, corner, size, 0).astype(np.float32))
        else:
            matrix, offset = _in_voxels(self.matrix_mm, corner, size, spacing_mm)
            patch = _resampled_mask(volume, matrix, offset, size)
        return (patch.flip(0) if self.is_mirrored else patch).contiguous()


@dataclass(frozen=True)
class Augmentation:
    """Draws the change of each patch. Every number is uniform in its range; each change has a probability of its own.

    Args:
        affine_probability: Of a rotation with a change of size, about the centre of the patch.
        degrees: The largest rotation about each axis, either way; 0 to 45.
        scale_share: The largest change of size along each axis, as a share: 0.1 is 0.9 to 1.1.
        flip_probability: Of the mirror image that exchanges left and right.
        noise_probability: Of Gaussian noise in the image.
        noise_sd: Its largest standard deviation, on the network's scale from -1 to 1: 0.05 is 42 HU in a window of
            1700 HU.

    Raises:
        UserError: A number is out of range.
    """

    affine_probability: float
    degrees: float
    scale_share: float
    flip_probability: float
    noise_probability: float
    noise_sd: float

    def __post_init__(self) -> None:
        highest = {"degrees": LARGEST_ROTATION_DEGREES, "scale_share": 0.5, "noise_sd": 2.0}
        for name, value in vars(self).items():
            if not 0 <= value <= highest.get(name, 1.0):
                raise UserError(f"augmentation.{name}={value}: expected a number, 0 to {highest.get(name, 1.0):g}")

    def draw(self, rng: np.random.Generator) -> Change:
        """Draw a change. All numbers are drawn, used or not, so that one setting does not change what others draw."""
        affine, flip, noise = rng.uniform(size=3) < self._probabilities
        degrees = rng.uniform(-1, 1, size=3) * self.degrees
        scales = 1 + rng.uniform(-1, 1, size=3) * self.scale_share
        noise_sd, noise_seed = rng.uniform() * self.noise_sd, int(rng.integers(2**62))
        matrix = rotation(degrees) * scales if affine else None
        return Change(matrix, bool(flip), noise_sd if noise else 0.0, noise_seed)

    @property
    def _probabilities(self) -> npt.NDArray[np.float64]:
        return np.array([self.affine_probability, self.flip_probability, self.noise_probability])


def _in_voxels(matrix_mm: Matrix, corner: Voxels, size: Voxels, spacing_mm: Vector) -> tuple[Matrix, Vector]:
    """The matrix between voxels, and the voxel of the volume that the patch's first voxel shows."""
    matrix = matrix_mm * spacing_mm / spacing_mm[:, None]
    to_centre = (size - 1) / 2
    return matrix, corner + to_centre - matrix @ to_centre


def _resampled_mask(volume: Label, matrix: Matrix, offset: Vector, size: Voxels) -> torch.Tensor:
    patch = torch.zeros(tuple(size.tolist()))
    low, high = box_of_image(matrix, offset, np.zeros(3, np.int64), size)
    mask = crop(volume, low, high - low, 0)
    box = bounding_box(mask != 0)
    if box is None:
        return patch
    first = np.maximum([s.start - 1 for s in box], 0)
    last = np.minimum([s.stop + 1 for s in box], mask.shape)
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    start, stop = box_of_image(inverse, inverse @ (low - offset), first, last)
    start, stop = np.clip(start, 0, size), np.clip(stop, 0, size)
    if (start < stop).all():
        source = torch.from_numpy(mask[tuple(map(slice, first, last))].astype(np.float32))
        share = resample(source, matrix, offset - low - first + matrix @ start, stop - start)
        patch[tuple(map(slice, start, stop))] = torch.from_numpy(_largest(share.numpy()))
    return patch


def _largest(share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 in the voxels with the largest shares, as many as the shares add up to, 0 elsewhere.

    numpy adds up in one order, whatever the number of threads.
    """
    some = share[share > LEAST_SHARE]
    n = min(round(float(share.sum(dtype=np.float64))), some.size)
    if n == 0:
        return np.zeros_like(share)
    least = np.partition(some, some.size - n)[some.size - n]
    return np.asarray(share >= least, np.float32)
