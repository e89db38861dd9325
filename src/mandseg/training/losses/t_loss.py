"""T-Loss: the likelihood of a patch's errors under a Student t distribution whose tail is learned."""

import math

import torch
from torch import nn

from mandseg.training.losses.voxel_loss import VoxelLoss


class TLoss(VoxelLoss):
    """Negative log-likelihood of p - y under a D-dimensional Student t distribution, divided by D, plus Dice.

    Of a patch of D voxels with errors d = p - y:
    [ln G(nu / 2) - ln G((nu + D) / 2) + D/2 * ln(pi * nu) + (nu + D) / 2 * ln(1 + |d|^2 / nu)] / D; G: gamma function.
    nu = exp(theta), and theta is learned, from 0. Gonzalez-Jimenez et al., MICCAI 2023 (arXiv 2306.09066), equation 4.
    As nu grows it becomes |d|^2 / (2 D) + ln(2 pi) / 2: half of the mean squared error, and a constant.

    The division by D keeps the gradient of the size of other losses; a 3D patch has 100,000 voxels and more. A patch
    has one weight, 1 / (1 + |d|^2 / nu): the loss suits cases that are wrong as a whole, not errors of the boundary.

    Args:
        dice_weight: Weight of the Dice loss. The original has none.
    """

    def __init__(self, dice_weight: float = 1.0) -> None:
        super().__init__(dice_weight)
        self.theta = nn.Parameter(torch.zeros(()))

    def of_voxels(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The value of each patch, (B,)."""
        d = logits[0].numel()
        squares = (torch.sigmoid(logits) - label).square().flatten(1).sum(1).double()
        nu = self.theta.double().exp()  # in float32 the difference of the two gamma functions has no digit left
        constant = torch.lgamma(nu / 2) - torch.lgamma((nu + d) / 2) + d / 2 * torch.log(math.pi * nu)
        return ((constant + (nu + d) / 2 * torch.log1p(squares / nu)) / d).to(logits.dtype)
