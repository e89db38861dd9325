"""Reports the step at which this process begins to train. After a resume it is not 0."""

from collections.abc import Callable

import lightning as L


class FirstStep(L.Callback):
    """Lightning callback: report the first step that a process trains, after the checkpoint is loaded.

    Args:
        report: Called once with the number of steps that the run has done.
        steps_before: Steps of the run before this stage.
    """

    def __init__(self, report: Callable[[int], None], steps_before: int) -> None:
        self.report, self.steps_before = report, steps_before

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the step."""
        self.report(self.steps_before + trainer.global_step)
