"""The band of voxels near a contour, in which a method selects; elsewhere nearly every voxel is easy background."""

from collections.abc import Sequence
from math import floor

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
    of_band = losses.detach()[inside]
    n = round(share * len(of_band))
    if n == len(of_band):
        return torch.ones_like(inside)
    if n == 0:
        return ~inside
    return ~inside | (losses.detach() <= of_band.kthvalue(n).values)


def left_out(logits: torch.Tensor, label: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Logits in which a voxel that is not kept counts as certain and right, without gradient: for any loss."""
    return torch.where(kept, logits, (2 * label.to(logits.dtype) - 1) * CERTAIN)
