"""The progress bar of a training on a terminal.

To read the loss, the processor waits for the GPU. So the loss beside the bar is read only every few steps.
"""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

EVERY_STEPS = 10


class StepBar(RichProgressBar):
    """Lightning's bar, with numbers of at most ``EVERY_STEPS`` steps ago."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, Any] = {}
        self._next_step = 0

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """The numbers beside the bar."""
        if trainer.validating or trainer.global_step >= self._next_step:
            self._shown = dict(super().get_metrics(trainer, pl_module))
            self._next_step = trainer.global_step + EVERY_STEPS
        return self._shown
