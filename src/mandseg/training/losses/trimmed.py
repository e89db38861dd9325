"""Trimmed loss: near the contour the voxels with the largest losses are left out."""

from collections.abc import Sequence

import torch

from mandseg.system.expectations import LENGTHS, REACH_MM, SHARE, SHARE_BELOW_1, require
from mandseg.training.losses.band import band, left_out, smallest
from mandseg.training.losses.loss import GROUP, Loss, ScheduledLoss, ramp
from mandseg.training.losses.voxel_loss import cross_entropy, in_float


class TrimmedLoss(ScheduledLoss):
    """A loss without the share of voxels in the band whose cross-entropy is largest.

    A voxel that is left out counts as certain and right. The share grows linearly from 0, because at the start the
    foreground has the largest losses. Least trimmed squares (Rousseeuw 1984, doi 10.1080/01621459.1984.10477105) for
    voxels; the share is declared, an estimate of the wrong labels in the band, and never read from the noise plan. With
    a share of 0 it is the loss itself.

    Args:
        loss: The loss of the voxels that are kept.
        share: Share of the band that is left out at the end of the ramp, from 0 to below 1.
        ramp_share: Share of the training in which it grows.
        reach_mm: Reach of the band around the label and the prediction.
        spacing_mm: Voxel edge lengths of the patches.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(
        self, loss: Loss, share: float, ramp_share: float, reach_mm: float, spacing_mm: Sequence[float]
    ) -> None:
        super().__init__()
        require(SHARE_BELOW_1, GROUP, share=share)
        require(SHARE, GROUP, ramp_share=ramp_share)
        require(REACH_MM, GROUP, reach_mm=reach_mm)
        require(LENGTHS, GROUP, spacing_mm=list(spacing_mm))
        self.loss, self.share, self.ramp_share = loss, share, ramp_share
        self.reach_mm, self.spacing_mm = reach_mm, spacing_mm

    def value(self, logits: torch.Tensor, label: torch.Tensor, progress: float) -> torch.Tensor:
        """The loss of the voxels that are kept at a progress."""
        logits = in_float(logits)
        losses = cross_entropy(logits.detach(), in_float(label))
        inside = band(label, logits, self.reach_mm, self.spacing_mm)
        kept = smallest(losses, inside, 1 - self.share * ramp(progress, self.ramp_share))
        return self.loss(left_out(logits, label, kept), label)
