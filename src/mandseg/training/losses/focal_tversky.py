"""Focal Tversky loss: missed and wrongly added voxels have their own weights, and hard batches count more."""

from math import inf

import torch
from monai.losses import TverskyLoss
from torch import nn

from mandseg.system.expectations import POSITIVE, number, require
from mandseg.training.losses.loss import GROUP
from mandseg.training.losses.voxel_loss import in_float

AT_LEAST_1 = number(1, inf, "a number, 1 or more")
LEAST = 1e-6  # the slope of x^(1/gamma) is infinite at 0


class FocalTversky(nn.Module):
    """(1 - T)^(1 / gamma), T = TP / (TP + missed * FN + added * FP), the sums over all voxels of the batch.

    Abraham and Khan, ISBI 2019 (arXiv 1810.07842), equations 3 and 4, with 0.7, 0.3 and gamma = 4/3 there; MONAI's
    Tversky index. With 0.5, 0.5 and gamma = 1 it is the Dice loss.

    Args:
        missed: Weight of the foreground that is missed, above 0.
        added: Weight of the foreground that is added, above 0.
        gamma: 1 or more.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(self, missed: float = 0.7, added: float = 0.3, gamma: float = 4 / 3) -> None:
        super().__init__()
        require(POSITIVE, GROUP, missed=missed, added=added)
        require(AT_LEAST_1, GROUP, gamma=gamma)
        self.tversky = TverskyLoss(sigmoid=True, batch=True, alpha=added, beta=missed)
        self.gamma = gamma

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch; logits and labels (B, 1, X, Y, Z)."""
        value: torch.Tensor = self.tversky(in_float(logits), in_float(label))
        return value.clamp(min=LEAST) ** (1 / self.gamma)
