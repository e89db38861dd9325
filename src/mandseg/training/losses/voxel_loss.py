"""The base of several losses: a mean over voxels plus a Dice term, in float32 whatever the network computes in."""

from abc import ABC, abstractmethod

import torch
from monai.losses import DiceLoss
from torch import nn

from mandseg.system.expectations import NOT_NEGATIVE, require
from mandseg.training.losses.loss import GROUP


class VoxelLoss(nn.Module, ABC):
    """Mean over all voxels of a value, plus a weighted Dice loss over all patches of the batch.

    With 1 % of foreground, a mean over voxels alone learns slowly, and a bounded one may learn nothing: hence the Dice.

    Args:
        dice_weight: Weight of the Dice loss, 0 or more.

    Raises:
        UserError: The weight is out of range.
    """

    def __init__(self, dice_weight: float) -> None:
        super().__init__()
        require(NOT_NEGATIVE, GROUP, dice_weight=dice_weight)
        self.dice_weight = dice_weight
        self.dice = DiceLoss(sigmoid=True, batch=True)

    @abstractmethod
    def of_voxels(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The value of each voxel, (B, 1, X, Y, Z); logits and labels in at least float32."""

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch.

        Args:
            logits: (B, 1, X, Y, Z).
            label: Same shape, 0 to 1.
        """
        logits, label = in_float(logits), in_float(label)
        with torch.autocast(logits.device.type, enabled=False):
            value = self.of_voxels(logits, label).mean()
            if self.dice_weight:
                value = value + self.dice_weight * self.dice(logits, label)
        return value


def in_float(values: torch.Tensor) -> torch.Tensor:
    """The values in float32, or in float64 if they are: half precision is too coarse for a sum over voxels."""
    return values if values.dtype == torch.float64 else values.float()


def cross_entropy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each voxel; labels 0 to 1."""
    return nn.functional.binary_cross_entropy_with_logits(logits, label, reduction="none")


def log_probability(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The logarithm of p_y of each voxel: of the probability of its label, 0 or 1."""
    return nn.functional.logsigmoid(torch.where(label > 0.5, logits, -logits))
