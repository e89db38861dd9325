"""Soft bootstrapping: the target of a voxel is a mixture of its label and of the network's own probability."""

import torch
from torch.nn.functional import softplus

from mandseg.system.expectations import SHARE, require
from mandseg.training.losses.loss import GROUP
from mandseg.training.losses.voxel_loss import VoxelLoss, cross_entropy


class SoftBootstrapping(VoxelLoss):
    """Mean of CE(beta * y + (1 - beta) * p, p) = beta * CE(y, p) + (1 - beta) * H(p), plus Dice.

    H is the entropy of the prediction, which is small where the network is certain. Reed et al., ICLR workshop 2015
    (arXiv 1412.6596), equation 6, with beta = 0.95 there. With beta = 1 it is the cross-entropy.

    Args:
        beta: Share of the label in the target, 0 to 1.
        dice_weight: Weight of the Dice loss.

    Raises:
        UserError: beta is out of range.
    """

    def __init__(self, beta: float = 0.95, dice_weight: float = 1.0) -> None:
        super().__init__(dice_weight)
        require(SHARE, GROUP, beta=beta)
        self.beta = beta

    def of_voxels(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The cross-entropy with the mixed target, of each voxel."""
        of_label = cross_entropy(logits, label)
        if self.beta == 1:
            return of_label
        p = torch.sigmoid(logits)
        entropy = p * softplus(-logits) + (1 - p) * softplus(logits)
        return self.beta * of_label + (1 - self.beta) * entropy
