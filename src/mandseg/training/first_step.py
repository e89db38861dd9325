"""The step at which this process begins to train, which is not 0 where a killed run goes on."""

from collections.abc import Callable

import lightning as L


class FirstStep(L.Callback):
    """Tell the step of the run that a process trains first, when the checkpoint is loaded.

    Args:
        tell: Called once with the number of steps that the run has done.
        steps_before: Steps of the run before this stage.
    """

    def __init__(self, tell: Callable[[int], None], steps_before: int) -> None:
        self.tell, self.steps_before = tell, steps_before

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell the step."""
        self.tell(self.steps_before + trainer.global_step)
