"""Lightning callback: measures on training cases, during the training, how far the network memorises noisy labels.

The Dice against the noisy label that a case is trained on shows how far the noise is memorised. The Dice against the
case's reference, which no training step uses, shows what memorisation costs (early learning and memorisation:
Liu et al., "Adaptive early-learning correction", CVPR 2022). The values go to learning_curve.csv.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import crop
from mandseg.evaluation.predictor import Predictor
from mandseg.metrics.masks import dice
from mandseg.noise.label_plan import LabelPlan
from mandseg.training.measuring import Box, box_around, evaluation_mode, logits_in_boxes, measured_steps

CASES = 4  # of a group; 4 + 4 predictions cost about as much as two training steps


@dataclass(frozen=True)
class WatchedCases:
    """The training cases that are measured, all with both labels.

    Args:
        noisy: Cases trained on their noisy label. At ratio 0 these are the first cases in the order of noise, which
            shows the Dice to noise that the network never saw.
        clean: Cases trained on their reference, the last in the order of noise; none at ratio 1.
    """

    noisy: Sequence[PreparedCase]
    clean: Sequence[PreparedCase]


def watched_cases(training: Sequence[PreparedCase], plan: LabelPlan) -> WatchedCases:
    """Choose up to four cases of each kind in the plan's order: a seed measures the same cases at every ratio."""
    both = {p.case.case_id: p for p in training if p.noisy is not None and p.reference is not None}
    order = [both[case_id] for case_id in plan.order if case_id in both]
    n = min(CASES, (len(order) + 1) // 2)
    noisy = [p for p in order if not plan.noisy or p.case.case_id in plan.noisy][:n]
    others = [p for p in reversed(order) if p not in noisy and p.case.case_id not in plan.noisy]
    return WatchedCases(noisy, others[:n])


class Memorisation(Callback):
    """Log the Dice of the watched cases against their noisy label and their reference, several times in a training.

    Columns: ``noisy_cases_dice_to_noisy``, ``noisy_cases_dice_to_reference``, and the same of ``clean_cases``; means
    over the cases. A case is predicted in the box around both of its labels, which is at least a training patch.
    Voxels elsewhere in the scan do not count. No random number is drawn, so the training is the same
    with and without the callback.

    Args:
        cases: The cases to measure.
        predictor: The network in training.
        measurements: Number of measurements, evenly over the training; the last one is at its end.
        steps: Length of the training, over all stages.
        at_least: Voxels that are predicted of each case, at least: the training patch, (X, Y, Z).
        steps_before: Steps of the run before this stage.

    Raises:
        UserError: The number of measurements is not a whole number, 0 or more.
    """

    def __init__(
        self,
        cases: WatchedCases,
        predictor: Predictor,
        measurements: int,
        steps: int,
        at_least: Sequence[int],
        steps_before: int = 0,
    ) -> None:
        self.cases, self.predictor, self.at_least, self.steps_before = cases, predictor, at_least, steps_before
        self._boxes: dict[str, Box] = {}
        self.due = measured_steps("memorisation", measurements, steps)

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure after a step that is due. The values go to the row of the step's loss."""
        if self.steps_before + trainer.global_step not in self.due:
            return
        with evaluation_mode(trainer, pl_module):
            values = self._measure(pl_module.device)
        if values:
            for logger in trainer.loggers:
                logger.log_metrics(values, trainer.global_step - 1)

    def _measure(self, device: torch.device) -> dict[str, float]:
        groups = {"noisy_cases": self.cases.noisy, "clean_cases": self.cases.clean}
        cases = [case for group in groups.values() for case in group]
        boxes = [self._box(case) for case in cases]
        logits = logits_in_boxes(self.predictor, cases, boxes, device)
        scores = [_dice_to_both(*found) for found in zip(cases, boxes, logits, strict=True)]
        values: dict[str, float] = {}
        for name, group in groups.items():
            of_group, scores = scores[: len(group)], scores[len(group) :]
            if of_group:
                to_noisy, to_reference = np.mean(of_group, axis=0)
                values |= {f"{name}_dice_to_noisy": float(to_noisy), f"{name}_dice_to_reference": float(to_reference)}
        return values

    def _box(self, case: PreparedCase) -> Box:
        if (name := case.case.case_id) not in self._boxes:  # the labels of a case do not change
            self._boxes[name] = box_around([case.noisy, case.reference], self.at_least)  # type: ignore[list-item]
        return self._boxes[name]


def _dice_to_both(case: PreparedCase, box: Box, logits: torch.Tensor) -> tuple[float, float]:
    noisy, reference = (
        torch.from_numpy(crop(label, *box, 0)) > 0  # type: ignore[arg-type]  # watched cases have both
        for label in (case.noisy, case.reference)
    )
    return dice(logits > 0, noisy), dice(logits > 0, reference)
