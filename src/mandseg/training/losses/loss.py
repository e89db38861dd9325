"""The interface of a loss, and of a loss that changes during a training."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

GROUP = "loss"  # of the settings
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # loss(logits, label) -> scalar; both (B, 1, X, Y, Z)


class ScheduledLoss(nn.Module, ABC):
    """A loss that depends on the progress of the training; called without progress it is the loss at the end."""

    @abstractmethod
    def value(self, logits: torch.Tensor, label: torch.Tensor, progress: float) -> torch.Tensor:
        """The loss of a batch, (B, 1, X, Y, Z) each, at a progress from 0 to 1."""

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss at the end of the training."""
        return self.value(logits, label, 1.0)


def loss_at(loss: Loss, progress: float) -> Loss:
    """The loss at a progress from 0 to 1; most losses are the same at each."""
    return partial(loss.value, progress=progress) if isinstance(loss, ScheduledLoss) else loss


def ramp(progress: float, length: float) -> float:
    """From 0 to 1, linearly, while the progress goes from 0 to ``length``; 1 from there on."""
    return min(progress / length, 1.0) if length > 0 else 1.0
