"""Stops a training whose loss or weights are not finite; the error names the step and the cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from mandseg.system.distributed import gather_objects
from mandseg.system.errors import RunFailedError
from mandseg.training.cpu_copy import CpuCopy


class DivergedError(RunFailedError):
    """The loss or a weight is infinite or not a number."""


@dataclass(frozen=True)
class Step:
    """The loss of a step on its way from a GPU.

    Args:
        number: The step.
        cases: The numbers of its cases, (B,).
        loss: The loss.
    """

    number: int
    cases: torch.Tensor
    loss: CpuCopy


class FiniteLoss(Callback):
    """Lightning callback: end a training at the first step whose loss is not finite; its state is not saved.

    The processor does not wait for a GPU after each step. The loss of a step is read after the next step, and before a
    validation, a checkpoint and the end.

    Args:
        case_ids: The training cases, in the order of their numbers in a batch.
    """

    def __init__(self, case_ids: Sequence[str]) -> None:
        self.case_ids = list(case_ids)
        self._open: Step | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a step. The loss is computed on the complete batch, so all processes agree.

        Raises:
            DivergedError: The loss of the step before is not finite; on a CPU, of this step.
        """
        step = Step(trainer.global_step, batch["case"], CpuCopy(outputs["loss"]))
        self._check()
        self._open = step
        if step.loss.is_ready:
            self._check()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the last step, and raise DivergedError as after a step."""
        self._check()

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check the last step, and raise DivergedError as after a step."""
        self._check()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the last step, and raise DivergedError as after a step."""
        self._check()

    def _check(self) -> None:
        step, self._open = self._open, None
        if step is None:
            return
        loss = float(step.loss.get())
        if isfinite(loss):
            return
        numbers = sorted({number for share in gather_objects(step.cases.tolist()) for number in share})
        cases = ", ".join(self.case_ids[number] for number in numbers)
        raise DivergedError(
            f"the loss is {loss} at step {step.number} (cases {cases}): a lower optimizer.lr or "
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
