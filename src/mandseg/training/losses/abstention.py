"""Abstention: near the contour the network may abstain from a declared share of the voxels."""

from collections.abc import Sequence

import torch

from mandseg.system.expectations import LENGTHS, NOT_NEGATIVE, REACH_MM, SHARE, SHARE_BELOW_1, require
from mandseg.training.losses.band import band, of_band
from mandseg.training.losses.loss import GROUP, ScheduledLoss, ramp
from mandseg.training.losses.voxel_loss import cross_entropy, in_float

NO_PRICE = 1e9  # above every cross-entropy
SMALLEST_LOSS = 1e-12  # a loss of 0 has no reciprocal
OUTSIDE = -1.0  # in the place of the loss of a voxel outside the band


class DeclaredAbstention(ScheduledLoss):
    """min over a of [(1 - a) * CE - alpha * ln(1 - a)] of each voxel in the band, plus a Dice loss weighted by 1 - a.

    The deep abstaining classifier (Thulasidasan et al., ICML 2019, arXiv 1905.10964, equation 1; for segmentation
    arXiv 2601.14039) learns the abstention a with a further output. Here each voxel has the a that is best for it:
    a = max(0, 1 - alpha / CE), with which the term is CE up to alpha and alpha * (1 + ln(CE / alpha)) above. So no
    further output is needed, and the gradient of a voxel has the factor 1 - a. alpha follows from the batch: the mean
    of a over the band is the declared rate. The originals set the rate from the true noise of the data; here it is a
    number that the user declares. With a rate of 0 it is cross-entropy plus Dice.

    Args:
        rate: Mean abstention in the band at the end of the ramp, from 0 to below 1.
        ramp_share: Share of the training in which it grows linearly from 0.
        reach_mm: Reach of the band around the label and the prediction.
        spacing_mm: Voxel edge lengths of the patches.
        dice_weight: Weight of the Dice loss.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(
        self, rate: float, ramp_share: float, reach_mm: float, spacing_mm: Sequence[float], dice_weight: float = 1.0
    ) -> None:
        super().__init__()
        require(SHARE_BELOW_1, GROUP, rate=rate)
        require(SHARE, GROUP, ramp_share=ramp_share)
        require(REACH_MM, GROUP, reach_mm=reach_mm)
        require(LENGTHS, GROUP, spacing_mm=list(spacing_mm))
        require(NOT_NEGATIVE, GROUP, dice_weight=dice_weight)
        self.rate, self.ramp_share, self.dice_weight = rate, ramp_share, dice_weight
        self.reach_mm, self.spacing_mm = reach_mm, spacing_mm

    def value(self, logits: torch.Tensor, label: torch.Tensor, progress: float) -> torch.Tensor:
        """The loss of a batch at a progress."""
        logits, label = in_float(logits), in_float(label)
        losses = cross_entropy(logits, label)
        inside = band(label, logits, self.reach_mm, self.spacing_mm)
        rate = self.rate * ramp(progress, self.ramp_share)
        alpha = price(of_band(losses.detach(), inside, OUTSIDE), inside.count_nonzero(), rate)
        is_above = inside & (losses.detach() > alpha)
        above = torch.where(is_above, losses, alpha)
        values = torch.where(is_above, alpha * (1 + torch.log(above / alpha)), losses)
        weights = alpha / above.detach()  # 1 - a
        return values.mean() + self.dice_weight * weighted_dice(torch.sigmoid(logits), label, weights)


def price(losses: torch.Tensor, n: torch.Tensor, rate: float) -> torch.Tensor:
    """The alpha with which the mean of max(0, 1 - alpha / loss) is the rate; above every loss for a rate of 0.

    With the k largest losses above alpha, alpha = (k - rate * n) / (sum of their reciprocals). The k is the one for
    which exactly k losses are above this alpha. Nothing here waits for a GPU.

    Args:
        losses: (N,): n losses, 0 or more, and numbers below 0, which do not count.
        n: The number of losses, (); there may be none.
        rate: From 0 to below 1.
    """
    if not len(losses) or rate == 0:
        return losses.new_tensor(NO_PRICE)
    descending = losses.double().sort(descending=True).values
    descending = torch.where(descending < 0, 0.0, descending.clamp(min=SMALLEST_LOSS))
    k = torch.arange(1, len(losses) + 1, device=losses.device)
    alphas = (k - (rate * n.double()).float()) / (1 / descending).cumsum(0)  # 0 for a zero
    following = torch.cat([descending[1:], descending.new_zeros(1)])
    first = ((alphas > 0) & (alphas >= following)).int().argmax()
    return torch.where(n > 0, alphas.gather(0, first.reshape(1))[0], NO_PRICE).to(losses.dtype)


def weighted_dice(p: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The Dice loss over all voxels of the batch, each with a weight."""
    epsilon = 1e-5  # as in MONAI's
    return 1 - (2 * (weights * p * y).sum() + epsilon) / ((weights * (p + y)).sum() + epsilon)
