"""Supervised training: one network, trained on the labels of the plan."""

import torch
from torch import nn

from mandseg.training.losses.loss import Loss, loss_at
from mandseg.training.methods.method import Batch, MakeNetwork, Method


class Supervised(Method):
    """One network and one loss.

    Args:
        make_network: Makes the network.
        loss: ``loss(logits, label) -> scalar``, both (B, 1, X, Y, Z).
    """

    def __init__(self, make_network: MakeNetwork, loss: Loss) -> None:
        super().__init__()
        self.networks = nn.ModuleList([make_network()])
        self.loss_of_labels = loss

    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The network's logits, (B, 1, X, Y, Z)."""
        return (self.networks[0](image),)

    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The loss of the logits against the labels."""
        return {"loss": loss_at(self.loss_of_labels, progress)(logits[0], batch["label"])}

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """The network's logits, (B, 1, X, Y, Z)."""
        answer: torch.Tensor = self.networks[0](image)
        return answer
