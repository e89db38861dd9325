"""Symmetric cross-entropy: cross-entropy plus the reverse one, in which the label is compared with the prediction."""

import torch

from mandseg.system.expectations import NEGATIVE, NOT_NEGATIVE, require
from mandseg.training.losses.loss import GROUP
from mandseg.training.losses.voxel_loss import VoxelLoss, cross_entropy


class SymmetricCrossEntropy(VoxelLoss):
    """Mean of alpha * CE(y, p) + beta * RCE(p, y), plus Dice.

    RCE = - sum over the two classes of p_k * ln y_k, where ln 0 is replaced by ``log_of_zero``. For a label 0 or 1 it
    is -log_of_zero * |p - y|, which is bounded: so the effect of a wrong label is bounded, too. Wang et al., ICCV 2019
    (arXiv 1908.06112), equations 5 to 7; alpha 0.1, beta 1 and -4 are the authors' for CIFAR-10.

    Args:
        alpha: Weight of the cross-entropy, 0 or more.
        beta: Weight of the reverse cross-entropy, 0 or more.
        log_of_zero: What stands for ln 0, below 0.
        dice_weight: Weight of the Dice loss.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(
        self, alpha: float = 0.1, beta: float = 1.0, log_of_zero: float = -4.0, dice_weight: float = 1.0
    ) -> None:
        super().__init__(dice_weight)
        require(NOT_NEGATIVE, GROUP, alpha=alpha, beta=beta)
        require(NEGATIVE, GROUP, log_of_zero=log_of_zero)
        self.alpha, self.beta, self.log_of_zero = alpha, beta, log_of_zero

    def of_voxels(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The weighted sum of both entropies of each voxel."""
        reverse = -self.log_of_zero * (torch.sigmoid(logits) - label).abs()
        return self.alpha * cross_entropy(logits, label) + self.beta * reverse
