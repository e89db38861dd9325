"""Stops a training whose loss or weights are not finite; the error names the step and the cases."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from mandseg.system.distributed import gather_objects
from mandseg.system.errors import RunFailedError


class DivergedError(RunFailedError):
    """The loss or a weight is infinite or not a number."""


class FiniteLoss(Callback):
    """Lightning callback: end a training at the first step whose loss is not finite; its state is not saved.

    Args:
        case_ids: The training cases, in the order of their numbers in a batch.
    """

    def __init__(self, case_ids: Sequence[str]) -> None:
        self.case_ids = list(case_ids)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a step. The loss is computed on the complete batch, so all processes agree.

        Raises:
            DivergedError: The loss is not finite.
        """
        loss = outputs["loss"]
        if bool(torch.isfinite(loss)):
            return
        numbers = sorted({number for share in gather_objects(batch["case"].tolist()) for number in share})
        cases = ", ".join(self.case_ids[number] for number in numbers)
        raise DivergedError(
            f"the loss is {float(loss)} at step {trainer.global_step} (cases {cases}): a lower optimizer.lr or "
            "trainer.precision=32-true may help"
        )


def refuse_broken_weights(weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Refuse a network with weights that are not finite. The loss of the last step does not show its last update.

    Raises:
        DivergedError: Its first such weight.
    """
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise DivergedError(f"{where}: the weights of {name} are not finite")
