"""Trusted weighting: patches of cases with a trusted label count more."""

import torch

from mandseg.noise.label_plan import LabelPlan
from mandseg.system.errors import UserError
from mandseg.system.expectations import POSITIVE, require
from mandseg.training.cpu_copy import chosen_patches
from mandseg.training.losses.loss import Loss, loss_at
from mandseg.training.methods.method import GROUP, Batch, MakeNetwork
from mandseg.training.methods.supervised import Supervised


class TrustedWeighting(Supervised):
    """Supervised training in which a patch with a trusted label has a weight, and any other patch has the weight 1.

    The loss of a batch is the weighted mean of the loss of its trusted patches and of the loss of its others. A batch
    without the one or the other kind has the supervised loss.

    Args:
        make_network: Makes the network.
        loss: The loss of some patches.
        weight: Of a trusted patch, above 0.

    Raises:
        UserError: The weight is out of range.
    """

    def __init__(self, make_network: MakeNetwork, loss: Loss, weight: float) -> None:
        super().__init__(make_network, loss)
        require(POSITIVE, GROUP, weight=weight)
        self.weight = weight

    def check(self, plan: LabelPlan) -> None:
        """Refuse a plan without a trusted label, with which this is supervised training."""
        if not plan.trusted:
            raise UserError("method.weight: no training case is trusted; clean_budget=10 makes ten trusted ones")

    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The weighted mean of the losses of both kinds of patches."""
        loss, trusted, label = loss_at(self.loss_of_labels, progress), batch["trusted_on_cpu"].get(), batch["label"]
        if trusted.all() or not trusted.any():
            return {"loss": loss(logits[0], label)}
        kinds = trusted.tolist(), (~trusted).tolist()
        own, others = (loss(chosen_patches(logits[0], kind), chosen_patches(label, kind)) for kind in kinds)
        weights = self.weight * trusted.sum(), (~trusted).sum()
        return {"loss": (weights[0] * own + weights[1] * others) / sum(weights)}
