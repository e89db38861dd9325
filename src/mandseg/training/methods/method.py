"""The interface of a training method: its networks, their loss and their prediction; no loop, no optimiser, no device.

A method is part of the LightningModule (:mod:`mandseg.training.module`). Therefore its parameters and buffers are in
the checkpoints, and a resumed run continues exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TypedDict

import torch
from torch import nn

from mandseg.noise.label_plan import LabelPlan
from mandseg.training.cpu_copy import CpuCopy

GROUP = "method"  # of the settings
MakeNetwork = Callable[[], nn.Module]  # the next network of the run: :class:`mandseg.training.networks.NetworkFactory`


class Batch(TypedDict):
    """The patches of a step."""

    image: torch.Tensor  # (B, 1, X, Y, Z), float32 in [-1, 1]
    label: torch.Tensor  # (B, 1, X, Y, Z), float32, 0 or 1: the label that the plan gives
    case: torch.Tensor  # (B,), int64: the number of the case among all training cases, the same in every stage
    trusted: torch.Tensor  # (B,), bool: whether the plan trusts the label
    trusted_on_cpu: CpuCopy  # the same on the CPU, to choose patches without waiting for a GPU


class Method(nn.Module, ABC):
    """The networks of a run, their loss and their prediction.

    A subclass takes ``make_network`` and ``loss`` from the run, and its own settings, which are keys of its file in
    conf/method. It calls ``make_network()`` once for each network.
    """

    networks: nn.ModuleList

    def check(self, plan: LabelPlan) -> None:
        """Refuse labels that the method cannot learn from; called before a stage is trained. Takes any by default.

        Raises:
            UserError: For example, no label is trusted.
        """

    @abstractmethod
    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The output of the networks for the patches of this process, before any term that mixes patches.

        Args:
            image: (B, 1, X, Y, Z). With several processes, B is this process's part of the batch.

        Returns:
            Tensors whose first axis is B. Random numbers may be drawn: the seed and the step determine them.
        """

    @abstractmethod
    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """``loss``, which is minimised, and further terms to log.

        Every process computes it on the same batch, so this function must not draw random numbers.

        Args:
            logits: The result of ``logits`` for the whole batch of all processes.
            batch: The whole batch.
            progress: Share of the stage's steps that are done, from 0 to below 1.
        """

    @abstractmethod
    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """The prediction that is validated and tested, as logits: of one network, a mean, or of a teacher.

        Args:
            image: (B, 1, X, Y, Z); the logits have the same shape.
        """

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The prediction: ``predict`` on a channels-last image."""
        return self.predict(image.contiguous(memory_format=torch.channels_last_3d))

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the optimiser: by default all that require a gradient."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def after_step(self, progress: float) -> None:
        """Called after each step of the optimiser, e.g. to update a teacher. Does nothing by default.

        Args:
            progress: Share of the stage's steps that are done, including this one.
        """
