"""Label smoothing at the boundary: the target of a voxel follows from its distance to the contour, in mm."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, erf, sqrt

import torch
from torch.nn.functional import conv3d, pad

from mandseg.system.expectations import LENGTHS, number, require
from mandseg.training.losses.loss import GROUP
from mandseg.training.losses.voxel_loss import VoxelLoss, cross_entropy

REACH = 4  # standard deviations
SIGMA_MM = number(0, 50, "a length in mm, 0 to 50")


class BoundarySmoothing(VoxelLoss):
    """Cross-entropy with the target G_sigma * y, plus Dice with the label itself.

    The label is convolved with a Gaussian in mm, exactly: a weight is the Gaussian's integral over a voxel. Beside a
    plane boundary at distance d the target is Phi(d / sigma): the probability that an observer whose contours scatter
    by sigma calls the voxel foreground. With sigma = 0 it is the cross-entropy.

    The idea is spatially varying label smoothing (Islam and Glocker, IPMI 2021, arXiv 2104.05788). sigma is measured:
    ``spread_mm`` of the whole surface (``all``) in regions.csv of ``mandseg audit``.

    Args:
        sigma_mm: Standard deviation, 0 to 50.
        spacing_mm: Voxel edge lengths of the patches.
        dice_weight: Weight of the Dice loss.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(self, sigma_mm: float, spacing_mm: Sequence[float], dice_weight: float = 1.0) -> None:
        super().__init__(dice_weight)
        require(SIGMA_MM, GROUP, sigma_mm=sigma_mm)
        require(LENGTHS, GROUP, spacing_mm=list(spacing_mm))
        self.weights = [voxel_weights(sigma_mm / spacing) for spacing in spacing_mm]

    def of_voxels(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The cross-entropy of each voxel with its smoothed label."""
        return cross_entropy(logits, self.smoothed(label))

    def smoothed(self, label: torch.Tensor) -> torch.Tensor:
        """The targets, 0 to 1, (B, 1, X, Y, Z). Beyond the patch the label is continued by its border."""
        for axis, weights in enumerate(self.weights):
            reach = len(weights) // 2
            if reach:
                sides = [0, 0] * (2 - axis) + [reach, reach] + [0, 0] * axis  # the last axis first
                shape = [1, 1, *(len(weights) if a == axis else 1 for a in range(3))]
                kernel = torch.tensor(weights, dtype=label.dtype, device=label.device).reshape(shape)
                label = conv3d(pad(label, sides, mode="replicate"), kernel)
        return label.clamp(0, 1)


def voxel_weights(sigma: float) -> list[float]:
    """The integral of a Gaussian over each voxel of a line, the middle one first at its centre; sigma in voxels."""
    if sigma == 0:
        return [1.0]
    reach = ceil(REACH * sigma)
    edges = [0.5 * (1 + erf((k - 0.5) / (sigma * sqrt(2)))) for k in range(-reach, reach + 2)]
    whole = edges[-1] - edges[0]
    return [(high - low) / whole for low, high in pairwise(edges)]
