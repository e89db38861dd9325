"""Generalised cross-entropy: between cross-entropy (q = 0) and the mean absolute error (q = 1)."""

import torch

from mandseg.system.expectations import number, require
from mandseg.training.losses.loss import GROUP
from mandseg.training.losses.voxel_loss import VoxelLoss, cross_entropy, log_probability


class GeneralisedCrossEntropy(VoxelLoss):
    """Mean of (1 - p_y^q) / q, plus Dice; p_y is the probability of the voxel's label.

    A voxel's gradient has the factor p_y^q: what the network finds improbable counts less. Zhang and Sabuncu, NeurIPS
    2018 (arXiv 1805.07836), equation 6, with q = 0.7 there. As q goes to 0 it becomes the cross-entropy.

    Args:
        q: From 0 (cross-entropy) to 1 (mean absolute error).
        dice_weight: Weight of the Dice loss.

    Raises:
        UserError: q is out of range.
    """

    def __init__(self, q: float = 0.7, dice_weight: float = 1.0) -> None:
        super().__init__(dice_weight)
        require(number(0, 1, "a number from 0 to 1"), GROUP, q=q)
        self.q = q

    def of_voxels(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """(1 - p_y^q) / q of each voxel."""
        if self.q == 0:
            return cross_entropy(logits, label)
        return -torch.expm1(self.q * log_probability(logits, label)) / self.q
