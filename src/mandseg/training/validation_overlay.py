"""Lightning callback: after each validation, a picture of the first validation case with both contours."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from mandseg.data.cache import PreparedCase
from mandseg.evaluation.overlay import draw_overlay


class ValidationOverlay(Callback):
    """Draw overlays/validation--<case_id>.png again after each validation and pass it to the tracker.

    Args:
        case: The case to draw, the first of the validation volumes.
        folder: The run's folder of pictures.
        send: Takes the step and the files, as ``Tracker.log_overlays`` does.
        steps_before: Steps of the run before this stage.
    """

    def __init__(
        self, case: PreparedCase, folder: Path, send: Callable[[int, Sequence[Path]], None], steps_before: int = 0
    ) -> None:
        self.case, self.folder, self.send, self.steps_before = case, folder, send, steps_before

    @rank_zero_only
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the prediction (1, 1, X, Y, Z) that the validation step of the first case returned."""
        if batch_idx != 0 or trainer.sanity_checking:
            return
        prediction = outputs[0, 0].cpu().numpy()
        reference = batch["label"][0, 0].cpu().numpy() > 0.5
        case_id, step = self.case.case.case_id, self.steps_before + trainer.global_step
        file = self.folder / f"validation--{case_id}.png"
        title = f"validation case {case_id}, step {step}"
        draw_overlay(np.asarray(self.case.image), reference, prediction, self.case.grid.spacing_mm, file, title)
        self.send(step, [file])
