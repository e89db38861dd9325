"""A teacher: a copy of a network whose weights follow the network's by an exponential moving average."""

from copy import deepcopy

import torch
from torch import nn

from mandseg.system.expectations import SHARE_BELOW_1, require
from mandseg.training.methods.method import GROUP


class Teacher(nn.Module):
    """The moving average of a network (Tarvainen and Valpola, NeurIPS 2017, arXiv 1703.01780).

    Its weights are no parameters of the optimiser, and are in the checkpoints. The decay after t steps is min(1 - 1 /
    (t + 1), decay), so that the untrained weights lose their influence at once. Running statistics are copied. It is
    always in evaluation mode.

    Args:
        network: The network that it follows.
        decay: The decay, from 0 to below 1; with 1 the first weights would stay.

    Raises:
        UserError: The decay is out of range.
    """

    steps: torch.Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        require(SHARE_BELOW_1, GROUP, decay=decay)
        self.network = deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The logits of the average, (B, 1, X, Y, Z), without gradient."""
        with torch.no_grad():
            answer: torch.Tensor = self.network(image)
        return answer

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode."""
        return super().train(False)

    def follow(self, network: nn.Module) -> None:
        """One step towards the network's weights."""
        self.steps += 1
        share = (1 / (self.steps + 1)).clamp(min=1 - self.decay)  # a tensor: the processor need not wait for a GPU
        for mean, value in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, share.to(mean.dtype))
        for own, statistic in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(statistic)
