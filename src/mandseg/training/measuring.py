"""What measurements during a training have in common: their steps, boxes, predictions, and the network's mode."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import crop
from mandseg.data.volume import AIR_HU
from mandseg.evaluation.predictor import Predictor
from mandseg.metrics.masks import bounding_box
from mandseg.system.errors import UserError

AT_ONCE = 2  # torch has no fast float32 convolution for one small volume on a CPU: two of 64^3 take less time than one
Box = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # its lowest voxel, possibly negative; its size in voxels


def measured_steps(setting: str, n: int, steps: int) -> set[int]:
    """The steps after which is measured: evenly over the training, the last one at its end.

    Args:
        setting: The name of the setting, for a message.
        n: Number of measurements.
        steps: Length of the training, over all stages.

    Raises:
        UserError: The number of measurements is not a whole number, 0 or more.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise UserError(f"{setting}={n}: a number of measurements, expected 0 or more")
    return {max(1, round(k * steps / n)) for k in range(1, n + 1)}


def box_around(masks: Sequence[npt.NDArray[Any]], at_least: Sequence[int], margin: Sequence[int] = (0, 0, 0)) -> Box:
    """The box around all voxels that are not 0, widened evenly where it is smaller than ``at_least``.

    Args:
        masks: One or more, (X, Y, Z), of the same shape; if all are empty, the box lies in the middle.
        at_least: Its smallest size, in voxels.
        margin: Voxels that are added on both sides along each axis.
    """
    middle = [slice(n // 2, n // 2 + 1) for n in masks[0].shape]
    box = bounding_box(*(np.asarray(mask) != 0 for mask in masks)) or middle
    low, high = np.array([s.start for s in box]) - margin, np.array([s.stop for s in box]) + margin
    size = np.maximum(high - low, np.asarray(at_least))
    return (low + high - size) // 2, size


@contextmanager
def evaluation_mode(trainer: L.Trainer, module: L.LightningModule) -> Iterator[None]:
    """Predict in the arithmetic of the training, without gradients; every part of the module gets its mode back.

    No random number is drawn and no running mean changes, so the training is the same with and without predictions.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        yield
    for part, training in modes.items():
        part.training = training


def logits_in_boxes(
    predictor: Predictor, cases: Sequence[PreparedCase], boxes: Sequence[Box], device: torch.device
) -> Iterator[torch.Tensor]:
    """Predict a part of each case; neighbours of one size are predicted together.

    Args:
        predictor: The network in training.
        cases: Prepared cases.
        boxes: The part of each case; voxels outside the scan are air.
        device: The device of the network.

    Yields:
        The logits of each box, in the order of the cases, (X, Y, Z), float32, on the CPU.
    """
    first = 0
    while first < len(cases):
        size = boxes[first][1]
        batch = [first]
        while len(batch) < AT_ONCE and (after := batch[-1] + 1) < len(cases) and np.array_equal(boxes[after][1], size):
            batch.append(after)
        images = [predictor.window(crop(cases[k].image, boxes[k][0], size, AIR_HU)) for k in batch]
        yield from predictor.logits(torch.stack(images)[:, None].to(device))[:, 0].float().cpu()
        first = batch[-1] + 1
