"""Prediction of a volume by windows: in one pass where memory allows it, else in equal windows that overlap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Literal

import torch

from mandseg.system.expectations import NOT_NEGATIVE, OVERLAP, SIZES, SIZES_OR_AUTO, require, whole

GROUP = "sliding_window"  # of the settings
AUTO: Literal["auto"] = "auto"
AIR = -1.0  # network input of air
SIGMA_SHARE = 0.125  # standard deviation of a window's weights, as a share of its size
LEAST_WEIGHT = 1e-3  # at the window's border, as a share of its centre's

Size = tuple[int, ...]  # voxels, (X, Y, Z)


@dataclass(frozen=True)
class SlidingWindow:
    """Predict a volume window by window and blend the logits with Gaussian weights.

    Args:
        patch_size: Window in voxels, (X, Y, Z); ``auto``: the volume's own size, rounded up to ``multiple``, where
            ``memory_mib`` allows it, else the largest of equal windows that does.
        overlap: Share of a window that overlaps its neighbour, at least. A volume in one window has no overlap.
        batch_size: Number of windows in a batch, where their size is given.
        memory_mib: Memory that the network may use for one window of size ``auto``, in MiB.
        multiple: The network takes windows of these multiples only.
        bytes_per_voxel: What the network needs for a voxel of a window (:mod:`mandseg.evaluation.activations`).

    Raises:
        UserError: A setting is out of range, e.g. an overlap of 1, with which no window would be the last.
    """

    patch_size: Sequence[int] | Literal["auto"]
    overlap: float
    batch_size: int = 4
    memory_mib: int = 1024
    multiple: Sequence[int] = (1, 1, 1)
    bytes_per_voxel: float = 0.0

    def __post_init__(self) -> None:
        patch_size = self.patch_size if isinstance(self.patch_size, str) else list(self.patch_size)
        require(SIZES_OR_AUTO, GROUP, patch_size=patch_size)
        require(SIZES, GROUP, multiple=list(self.multiple))
        require(OVERLAP, GROUP, overlap=self.overlap)
        require(whole(1), GROUP, batch_size=self.batch_size, memory_mib=self.memory_mib)
        require(NOT_NEGATIVE, GROUP, bytes_per_voxel=self.bytes_per_voxel)

    def __call__(self, network: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        """Map images (B, 1, X, Y, Z) to logits of the same shape, float32."""
        shape = tuple(image.shape[2:])
        window = self.size(shape)
        image = padded(image, window)
        if tuple(image.shape[2:]) == window:
            logits = network(image).float()
        else:
            logits = torch.cat([self._blended(network, one, window) for one in torch.split(image, 1)])
        return logits[:, :, : shape[0], : shape[1], : shape[2]]

    def size(self, shape: Sequence[int]) -> Size:
        """The window for a volume, both in voxels, (X, Y, Z)."""
        if self.patch_size != AUTO:
            return tuple(self.patch_size)
        counts = [1, 1, 1]
        while True:
            window = tuple(
                multiple * max(1, ceil(n / (count - (count - 1) * self.overlap) / multiple))
                for n, count, multiple in zip(shape, counts, self.multiple, strict=True)
            )
            divisible = [axis for axis in range(3) if window[axis] > self.multiple[axis]]
            if not divisible or prod(window) * self.bytes_per_voxel <= self.memory_mib * 2**20:
                return window
            counts[max(divisible, key=lambda axis: window[axis])] += 1

    def _blended(
        self, network: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, window: Size
    ) -> torch.Tensor:
        axes = [windows_along(n, side, self.overlap) for n, side in zip(image.shape[2:], window, strict=True)]
        places = list(product(*axes))
        logits = torch.zeros(image.shape, device=image.device)
        at_once = 1 if self.patch_size == AUTO else self.batch_size
        for first in range(0, len(places), at_once):
            batch = places[first : first + at_once]
            answers = network(torch.cat([image[:, :, x, y, z] for (x, _), (y, _), (z, _) in batch])).float()
            for answer, ((x, of_x), (y, of_y), (z, of_z)) in zip(answers, batch, strict=True):
                weights = of_x[:, None, None] * of_y[:, None] * of_z
                logits[0, :, x, y, z] += answer * weights.to(answer.device)
        return logits


def padded(image: torch.Tensor, least: Sequence[int]) -> torch.Tensor:
    """Images (B, 1, X, Y, Z) with air beyond their last voxels, so that they have at least this size."""
    missing = [max(side - n, 0) for n, side in zip(image.shape[2:], least, strict=True)]
    if not any(missing):
        return image
    return torch.nn.functional.pad(image, [end for n in reversed(missing) for end in (0, n)], value=AIR)


def starts_along(n: int, side: int, overlap: float) -> list[int]:
    """The first voxels of the windows along an axis of ``n >= side`` voxels: evenly spread, from end to end."""
    count = 1 + ceil((n - side) / max(1, int(side * (1 - overlap))))
    return [round(i * (n - side) / max(count - 1, 1)) for i in range(count)]


def windows_along(n: int, side: int, overlap: float) -> list[tuple[slice, torch.Tensor]]:
    """The windows along an axis, each with the weight of each of its voxels, (side,), float32.

    At each voxel of the axis the weights of all windows add up to 1. The windows of a volume stand at all combinations
    of the places along its axes, so the products of the axes' weights add up to 1, too.
    """
    offset = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) / (SIGMA_SHARE * side)
    weight = torch.exp(-(offset**2) / 2).clamp(min=LEAST_WEIGHT)
    places = [slice(start, start + side) for start in starts_along(n, side, overlap)]
    total = torch.zeros(n, dtype=torch.float64)
    for place in places:
        total[place] += weight
    return [(place, (weight / total[place]).float()) for place in places]
