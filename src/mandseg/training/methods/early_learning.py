"""Early-learning correction: when the fit to the labels slows down, improbable labels are replaced by predictions."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mandseg.system.expectations import SHARE, number, require
from mandseg.training.losses.loss import Loss, loss_at
from mandseg.training.losses.voxel_loss import in_float
from mandseg.training.methods.method import GROUP, Batch, MakeNetwork, Method
from mandseg.training.methods.teacher import Teacher

CONFIDENCE = number(0.5, 1, "a number from 0.5 to 1")
BINS = 100  # points of the curve over a stage
NO_POINT = -1
LEAST_POINTS = 10  # before the curve is fitted
SHAPES = np.linspace(0.2, 3.0, 29)  # of b, for the fit
SCALES = np.geomspace(0.01, 100, 81)  # of c, for points numbered from 1 and divided by BINS


class EarlyLearning(Method):
    """Supervised training until the fit to the labels slows down, then with labels that a teacher corrects.

    Liu et al., CVPR 2022 (arXiv 2110.03740): networks fit right labels first. The IoU of prediction and label in the
    training patches is followed; f(t) = a (1 - exp(-t^b / c)) is fitted to it; the correction starts at the first point
    with (f'(1) - f'(t)) / f'(1) > ``slowdown``. From then on a voxel for which the teacher (a moving average of the
    network) has a probability above ``confidence`` has the teacher's label. Trusted labels are never replaced. The
    consistency over scales of the original is left out, and the teacher replaces its average over scales. Before the
    start it is supervised training. The curve is of this training alone: no reference label and no plan is read.

    Args:
        make_network: Makes a network.
        loss: The loss.
        slowdown: r, 0 to 1; with 1 nothing is ever corrected. The original has 0.9.
        confidence: tau, from 0.5 to 1. The original has 0.7 and 0.8.
        decay: Of the teacher's moving average, from 0 to below 1.

    Raises:
        UserError: A setting is out of range.
    """

    curve: torch.Tensor
    started: torch.Tensor

    def __init__(self, make_network: MakeNetwork, loss: Loss, slowdown: float, confidence: float, decay: float) -> None:
        super().__init__()
        require(SHARE, GROUP, slowdown=slowdown)
        require(CONFIDENCE, GROUP, confidence=confidence)
        self.networks = nn.ModuleList([make_network()])
        self.teacher = Teacher(self.networks[0], decay)
        self.loss_of_labels = loss
        self.slowdown, self.confidence = slowdown, confidence
        self.register_buffer("curve", torch.zeros(BINS, 2, dtype=torch.float64))  # intersection and union, in voxels
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self._noted, self._is_correcting = NO_POINT, False  # copies of both that need no wait for a GPU
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The logits of the network and of the teacher, (B, 1, X, Y, Z) each."""
        return self.networks[0](image), self.teacher(image)

    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The loss with the labels of this moment; the share of voxels that were replaced is ``corrected``."""
        network, teacher = logits
        self._note(network, batch["label"], progress)
        label = self._corrected(in_float(teacher), batch) if self._is_correcting else batch["label"]
        value = loss_at(self.loss_of_labels, progress)(network, label)
        return {"loss": value, "corrected": (label != batch["label"]).float().mean()}

    def _note(self, logits: torch.Tensor, label: torch.Tensor, progress: float) -> None:
        """Add a step to the curve; at the end of each point see whether the correction starts."""
        now = min(int(progress * BINS), BINS - 1)
        if now != self._noted:
            self._noted = now
            self._begin_point(now)
        predicted, drawn = logits.detach() > 0, label > 0.5
        self.curve[now, 0] += (predicted & drawn).sum()
        self.curve[now, 1] += (predicted | drawn).sum()

    def _begin_point(self, now: int) -> None:
        """See whether the correction starts; after a resume within a point that was seen already."""
        known = self.curve[: now + 1].cpu().numpy()
        if not known[now].any() and not bool(self.started):  # a new point: those before are complete
            points = np.flatnonzero(known[:now, 1] > 0)
            iou = known[points, 0] / known[points, 1]
            self.started |= slows_down((points + 1) / BINS, iou, self.slowdown)
        self._is_correcting = bool(self.started)

    def _corrected(self, teacher: torch.Tensor, batch: Batch) -> torch.Tensor:
        p, label = torch.sigmoid(teacher), batch["label"]
        is_sure = (torch.maximum(p, 1 - p) > self.confidence) & ~batch["trusted"].reshape(-1, 1, 1, 1, 1)
        return torch.where(is_sure, (p > 0.5).to(label.dtype), label)

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        """The network's logits, (B, 1, X, Y, Z)."""
        answer: torch.Tensor = self.networks[0](image)
        return answer

    def after_step(self, progress: float) -> None:
        """The teacher follows the network."""
        self.teacher.follow(self.networks[0])


def _forget(method: nn.Module, _: object) -> None:
    """Read the buffers again after a load."""
    assert isinstance(method, EarlyLearning)
    method._noted = NO_POINT


def slows_down(t: npt.NDArray[np.float64], iou: npt.NDArray[np.float64], slowdown: float) -> bool:
    """Whether a curve of the form a (1 - exp(-t^b / c)) has lost this share of its first slope at its last point.

    b and c are the best of a grid; a follows from them. No iteration, so that every process finds the same.

    Args:
        t: Places of the points, growing.
        iou: Their values.
        slowdown: The share, 0 to 1.
    """
    if len(t) < LEAST_POINTS or not iou.any():
        return False
    b, c = (grid.reshape(-1, 1) for grid in np.meshgrid(SHAPES, SCALES))
    rises = 1 - np.exp(-(t**b) / c)
    a = (rises @ iou) / np.maximum((rises**2).sum(1), 1e-300)
    best = int(((a[:, None] * rises - iou) ** 2).sum(1).argmin())
    (b_,), (c_,) = b[best], c[best]
    slope = t ** (b_ - 1) * np.exp(-(t**b_) / c_)  # of f, but for a factor
    return bool((slope[0] - slope[-1]) / slope[0] > slowdown)
