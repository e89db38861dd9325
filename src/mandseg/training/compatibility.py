"""Checks that network, loss, optimiser and patches fit together before any data is read."""

from collections.abc import Sequence
from copy import deepcopy
from math import prod
from typing import Any

import torch

from mandseg.evaluation.sliding_window import AUTO
from mandseg.system.errors import UserError, one_line
from mandseg.training.cpu_copy import CpuCopy
from mandseg.training.loading.augmentation import Augmentation
from mandseg.training.loading.patches import transformed
from mandseg.training.losses.loss import Loss
from mandseg.training.methods.method import Batch, Method
from mandseg.training.module import Segmenter

SMALL = (8, 8, 8)  # voxels; a loss does not depend on the network


def refuse_incompatible(
    segmenter: Segmenter, loss: Loss, model: str, batch_size: int, patch_size: Sequence[int]
) -> None:
    """Refuse a network that cannot take a training batch or a window, and a loss or an optimiser that does not fit.

    Args:
        segmenter: The module.
        loss: The loss that its method was given.
        model: The network's name.
        batch_size: Patches of a step.
        patch_size: Voxels of a patch, (X, Y, Z).

    Raises:
        UserError: One line that names the setting.
    """
    try:
        segmenter.configure_optimizers()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"optimizer: {one_line(error)}") from error
    _refuse_loss(loss, batch_size)
    sliding = segmenter.predictor.sliding_window
    is_auto = sliding.patch_size == AUTO
    window = list(sliding.size([n + 1 for n in patch_size]))  # of size auto: not the patch's own
    _refuse_shape(segmenter.train(), (batch_size, 1, *patch_size), f"patches.patch_size={list(patch_size)}", model)
    _refuse_shape(segmenter.eval(), (1, 1, *window), f"sliding_window.patch_size={AUTO if is_auto else window}", model)
    _refuse_pair(segmenter.train().method, (batch_size, 1, *patch_size))


def refuse_unfit_augmentation(augmentation: Any, patch_size: Sequence[int]) -> None:
    """Refuse an augmentation of the user that cannot change a patch.

    Args:
        augmentation: Ours, a TorchIO transform, or None.
        patch_size: Voxels of a patch, (X, Y, Z).

    Raises:
        UserError: One line.
    """
    if augmentation is None or isinstance(augmentation, Augmentation):
        return
    shape = (1, *patch_size)
    image = torch.linspace(-1, 1, prod(shape)).reshape(shape)
    try:
        changed = transformed(image, (image > 0).float(), augmentation, seed=0)
    except Exception as error:  # a transform may raise anything
        name = type(augmentation).__name__
        raise UserError(f"patches.augmentation: {name} cannot be applied to a patch ({one_line(error)})") from error
    if shapes := [list(part.shape) for part in changed if part.shape != shape]:
        raise UserError(f"patches.augmentation: makes {shapes[0]} of a patch of {list(shape)}, expected the same")


def _refuse_shape(segmenter: Segmenter, shape: tuple[int, ...], setting: str, model: str) -> None:
    try:
        logits = _logits(segmenter, shape)
    except Exception as error:  # a network may raise anything
        raise UserError(f"{setting}: model={model} cannot take batches of {list(shape)} ({one_line(error)})") from error
    if logits.shape != shape:
        raise UserError(f"{setting}: model={model} maps {list(shape)} to {list(logits.shape)}, expected the same")


def _logits(segmenter: Segmenter, shape: tuple[int, ...]) -> torch.Tensor:
    """The logits for an image of a shape: on torch's meta device, which is fast, or with values if that fails."""
    with torch.no_grad():
        try:
            image = torch.empty(shape, device="meta")
            logits: torch.Tensor = deepcopy(segmenter).to("meta")(image)
        except Exception:  # the code of a network may depend on values
            logits = segmenter(torch.zeros(shape))
    return logits


def _refuse_pair(method: Method, shape: tuple[int, ...]) -> None:
    """Refuse a loss that works for itself and not in the method, which may call it for fewer patches."""
    try:
        answers = deepcopy(method).to("meta").logits(torch.empty(shape, device="meta"))
    except Exception:  # a method may look at values
        return
    if any(logits.shape != shape for logits in answers):
        return
    case, small = torch.arange(shape[0]), torch.zeros(shape[0], 1, *SMALL)
    trusted = case % 2 > 0
    batch = Batch(image=small, label=small, case=case, trusted=trusted, trusted_on_cpu=CpuCopy(trusted))
    try:
        method.loss(tuple(small.clone() for _ in answers), batch, 0.5)
    except (TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        name = type(method).__name__
        raise UserError(f"loss: the method {name} cannot use it ({one_line(error)}); choose another") from error


def _refuse_loss(loss: Loss, batch_size: int) -> None:
    shape = (batch_size, 1, *SMALL)
    try:
        value = loss(torch.zeros(shape), torch.zeros(shape))
    except (TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise UserError(f"loss: cannot take logits and label of {list(shape)} ({one_line(error)})") from error
    if value.ndim:
        raise UserError(f"loss: expected one number, got a tensor of {list(value.shape)}")
