"""Whether network, loss, optimiser and patches go together: shapes alone, nothing is computed."""

from collections.abc import Sequence

import torch

from mandseg.system.errors import UserError, one_line
from mandseg.training.module import Segmenter


def refuse_misfit(segmenter: Segmenter, model: str, batch_size: int, patch_size: Sequence[int]) -> None:
    """Refuse a network that cannot take a training batch or a window, and a loss that cannot take its logits.

    Args:
        segmenter: The module; its tensors are lost by this.
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
    size = list(patch_size)
    batch = _through(segmenter.train(), (batch_size, 1, *size), f"patches.patch_size={size}", model)
    _through(segmenter.eval(), (1, 1, *segmenter.sliding_window.patch_size), _window(segmenter), model)
    if batch is not None:
        _refuse_loss(segmenter, batch)


def _window(segmenter: Segmenter) -> str:
    return f"sliding_window.patch_size={list(segmenter.sliding_window.patch_size)}"


def _through(segmenter: Segmenter, shape: tuple[int, ...], said: str, model: str) -> torch.Tensor | None:
    """The logits of an image of a shape, without their values; None where the network does not work without values."""
    try:
        logits: torch.Tensor = segmenter.to("meta")(torch.empty(shape, device="meta"))
    except NotImplementedError:
        return None
    except Exception as error:  # whatever a network says of a shape
        raise UserError(f"{said}: model={model} cannot take batches of {list(shape)} ({one_line(error)})") from error
    if logits.shape != shape:
        raise UserError(f"{said}: model={model} answers {list(shape)} with {list(logits.shape)}, expected the same")
    return logits


def _refuse_loss(segmenter: Segmenter, logits: torch.Tensor) -> None:
    try:
        loss = segmenter.loss(logits, torch.zeros_like(logits))
    except NotImplementedError:
        return
    except (TypeError, ValueError) as error:
        raise UserError(
            f"method.loss: cannot take logits and label of {list(logits.shape)} ({one_line(error)})"
        ) from error
    if loss.ndim:
        raise UserError(f"method.loss: expected one number, got a tensor of {list(loss.shape)}")
