"""Noise-robust Dice: between the Dice loss (gamma = 2) and a mean absolute error (gamma = 1)."""

import torch
from torch import nn

from mandseg.system.expectations import NOT_NEGATIVE, number, require
from mandseg.training.losses.loss import GROUP
from mandseg.training.losses.voxel_loss import in_float


class NoiseRobustDice(nn.Module):
    """sum |p - y|^gamma / (sum p^2 + sum y^2 + epsilon), the sums over all voxels of the batch.

    Wang et al., IEEE TMI 39:2653 (2020), equation 5, with gamma = 1.5 there. With gamma = 2 it is the Dice loss with
    squared predictions. (The authors' code divides by sum p + sum y, with which that does not hold.)

    Args:
        gamma: From 1 to 2.
        epsilon: For batches without foreground, 0 or more.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(self, gamma: float = 1.5, epsilon: float = 1e-5) -> None:
        super().__init__()
        require(number(1, 2, "a number from 1 to 2"), GROUP, gamma=gamma)
        require(NOT_NEGATIVE, GROUP, epsilon=epsilon)
        self.gamma, self.epsilon = gamma, epsilon

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch; logits and labels (B, 1, X, Y, Z)."""
        p, y = torch.sigmoid(in_float(logits)), in_float(label)
        return (p - y).abs().pow(self.gamma).sum() / (p.square().sum() + y.square().sum() + self.epsilon)
