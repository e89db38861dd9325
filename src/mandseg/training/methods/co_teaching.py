"""Co-teaching: two networks, each of which learns from the voxels that the other one finds probable."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn

from mandseg.system.expectations import LENGTHS, REACH_MM, SHARE, SHARE_BELOW_1, require
from mandseg.training.losses.band import band, left_out, smallest
from mandseg.training.losses.loss import Loss, loss_at, ramp
from mandseg.training.losses.voxel_loss import cross_entropy, in_float
from mandseg.training.methods.method import GROUP, Batch, MakeNetwork, Method


class CoTeaching(Method):
    """Each network leaves out the voxels of the band in which the other network's cross-entropy is largest.

    Han et al., NeurIPS 2018 (arXiv 1804.06872), for voxels instead of images: the share that is kept falls linearly
    from 1 to 1 - ``wrong_share``, then stays. A batch of two patches has nothing to select among, and of all voxels
    nearly all are easy background, so the selection is among the voxels near the contour. Both networks have one
    optimiser; their losses are added up, and neither depends on the weights of the other. The answer is the mean of
    both logits.

    Args:
        make_network: Makes a network.
        loss: The loss of the voxels that are kept. Each network has a loss of its own, in case it learns something.
        wrong_share: Declared share of wrong labels in the band, from 0 to below 1. With 0 the first network is the
            supervised one.
        ramp_share: Share of the training in which the selection grows.
        reach_mm: Reach of the band around the label and the prediction of the network that selects.
        spacing_mm: Voxel edge lengths of the patches.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(
        self,
        make_network: MakeNetwork,
        loss: Loss,
        wrong_share: float,
        ramp_share: float,
        reach_mm: float,
        spacing_mm: Sequence[float],
    ) -> None:
        super().__init__()
        require(SHARE_BELOW_1, GROUP, wrong_share=wrong_share)
        require(SHARE, GROUP, ramp_share=ramp_share)
        require(REACH_MM, GROUP, reach_mm=reach_mm)
        require(LENGTHS, GROUP, spacing_mm=list(spacing_mm))
        self.networks = nn.ModuleList([make_network(), make_network()])
        self.loss_of_first, self.loss_of_second = loss, deepcopy(loss)
        self.wrong_share, self.ramp_share = wrong_share, ramp_share
        self.reach_mm, self.spacing_mm = reach_mm, spacing_mm

    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The logits of both networks, (B, 1, X, Y, Z) each."""
        return tuple(network(image) for network in self.networks)

    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The sum of both losses, each of the voxels that the other network keeps."""
        label, (first, second) = batch["label"], logits
        kept_share = 1 - self.wrong_share * ramp(progress, self.ramp_share)
        of_first = self._of_kept(self.loss_of_first, first, second, label, kept_share, progress)
        of_second = self._of_kept(self.loss_of_second, second, first, label, kept_share, progress)
        return {"loss": of_first + of_second, "loss_of_first": of_first.detach()}

    def _of_kept(
        self,
        loss: Loss,
        learns: torch.Tensor,
        selects: torch.Tensor,
        label: torch.Tensor,
        kept_share: float,
        progress: float,
    ) -> torch.Tensor:
        losses = cross_entropy(in_float(selects.detach()), label)
        kept = smallest(losses, band(label, selects, self.reach_mm, self.spacing_mm), kept_share)
        return loss_at(loss, progress)(left_out(learns, label, kept), label)

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """The mean of both logits, (B, 1, X, Y, Z)."""
        first, second = self.logits(image)
        return (first + second) / 2
