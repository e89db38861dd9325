"""Mean teacher: the network also learns to agree with the moving average of itself on a second view of the patch."""

from math import exp

import torch
from torch import nn

from mandseg.system.expectations import NOT_NEGATIVE, SHARE, require
from mandseg.training.losses.loss import Loss, loss_at, ramp
from mandseg.training.losses.voxel_loss import in_float
from mandseg.training.methods.method import GROUP, Batch, MakeNetwork, Method
from mandseg.training.methods.teacher import Teacher

LARGEST_NOISE = 2  # standard deviations


class MeanTeacher(Method):
    """The loss of the labels plus w(t) times the mean squared difference of student and teacher.

    Tarvainen and Valpola, NeurIPS 2017 (arXiv 1703.01780); for segmentation with noisy labels Xu et al., MICCAI 2021
    (arXiv 2106.01860). The input of the teacher has Gaussian noise, the input of the student has none. w(t) =
    consistency * exp(-5 (1 - t)^2), t growing from 0 to 1 over ``ramp_share`` of the training. The answer is the
    teacher's. With a consistency of 0 the student is the supervised network.

    Args:
        make_network: Makes a network.
        loss: The loss of the labels.
        consistency: Weight of the agreement at the end of the ramp.
        ramp_share: Share of the training in which it grows.
        decay: Of the teacher's moving average, from 0 to below 1.
        noise_std: Standard deviation of the noise, in the units of the network's input, [-1, 1].

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(
        self,
        make_network: MakeNetwork,
        loss: Loss,
        consistency: float,
        ramp_share: float,
        decay: float,
        noise_std: float,
    ) -> None:
        super().__init__()
        require(NOT_NEGATIVE, GROUP, consistency=consistency, noise_std=noise_std)
        require(SHARE, GROUP, ramp_share=ramp_share)
        self.networks = nn.ModuleList([make_network()])
        self.teacher = Teacher(self.networks[0], decay)
        self.loss_of_labels = loss
        self.consistency, self.ramp_share, self.noise_std = consistency, ramp_share, noise_std

    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The logits of student and teacher, (B, 1, X, Y, Z) each; the noise is drawn from the step's random state."""
        student = self.networks[0](image)
        noise = torch.randn_like(image).clamp(-LARGEST_NOISE, LARGEST_NOISE) * self.noise_std
        return student, self.teacher(image + noise)

    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The loss of the labels plus the weighted disagreement, which is logged as ``disagreement``."""
        student, teacher = logits
        of_labels = loss_at(self.loss_of_labels, progress)(student, batch["label"])
        apart = (torch.sigmoid(in_float(student)) - torch.sigmoid(in_float(teacher))).square().mean()
        weight = self.consistency * exp(-5 * (1 - ramp(progress, self.ramp_share)) ** 2)
        return {"loss": of_labels + weight * apart, "disagreement": apart.detach()}

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """The teacher's logits, (B, 1, X, Y, Z)."""
        answer: torch.Tensor = self.teacher(image)
        return answer

    def after_step(self, progress: float) -> None:
        """The teacher follows the student."""
        self.teacher.follow(self.networks[0])
