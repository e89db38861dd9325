"""The band of voxels near a contour, in which a method selects; elsewhere nearly every voxel is easy background."""

from collections.abc import Sequence
from math import floor, inf

import torch
from torch.nn.functional import max_pool3d

BAND_MM = 10.0  # reach of a band in which contours are judged; farther away nearly every voxel is easy background
ROUNDING = 1e-6  # voxels: 3.3 / 1.1 is a little less than 3
CERTAIN = 20.0  # logit of a voxel that is left out: its cross-entropy is 2e-9


def band(label: torch.Tensor, logits: torch.Tensor, reach_mm: float, spacing_mm: Sequence[float]) -> torch.Tensor:
    """The voxels within a box of +- ``reach_mm`` around a labelled or predicted voxel, bool, (B, 1, X, Y, Z).

    Without a band, a share of the voxels would be a share of the background: 99 % of a patch.
    """
    either = ((label > 0.5) | (logits.detach() > 0)).float()
    for axis, spacing in enumerate(spacing_mm):
        reach = floor(reach_mm / spacing + ROUNDING)
        size = [1 + 2 * reach if a == axis else 1 for a in range(3)]
        either = max_pool3d(either, size, stride=1, padding=[n // 2 for n in size])
    return either > 0.5


def smallest(losses: torch.Tensor, inside: torch.Tensor, share: float) -> torch.Tensor:
    """The voxels to keep, bool: all outside the band, and inside it this share of them, those with the smallest losses.

    Voxels with the same loss as the last one that is kept are kept, too: at the start of a training all are alike.
    """
    losses = losses.detach()
    n = (share * inside.count_nonzero().double()).round()
    candidates = of_band(losses, inside, inf)
    if losses.device.type == "cpu":  # faster than to sort
        largest_kept = candidates.kthvalue(int(n)).values if n > 0 else losses.new_tensor(-inf)
    else:
        largest_kept = nth_smallest(candidates, n)
    return ~inside | ~(losses > largest_kept)  # what is no number is kept, so that the loss shows it


def of_band(values: torch.Tensor, inside: torch.Tensor, other: float) -> torch.Tensor:
    """The values of the band, (n,). On a GPU the values of all voxels, (N,), with ``other`` outside the band.

    To know the number of voxels in the band, the processor would have to wait for the GPU.
    """
    return values[inside] if values.device.type == "cpu" else values.where(inside, other).flatten()


def nth_smallest(values: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """The n-th smallest value, (1,), for a GPU, which is not waited for; -inf for n = 0.

    Args:
        values: (N,); N may be 0.
        n: A whole number from 0 to N, (), of any type.
    """
    ordered = torch.nn.functional.pad(values.sort().values, (1, 0), value=-inf)
    return ordered.gather(0, n.long().reshape(1))


def left_out(logits: torch.Tensor, label: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Logits in which a voxel that is not kept counts as certain and right, without gradient: for any loss."""
    return torch.where(kept, logits, (2 * label.to(logits.dtype) - 1) * CERTAIN)
