"""Lightning callback: predicts all training cases several times in a training, and compares them with their labels.

Networks learn labels that agree with the others first. A label that the network contradicts for long is suspicious
(area under the margin: Pleiss et al. 2020, arXiv 2001.10528; data maps: Swayamdipta et al. 2020, arXiv 2009.10795).
The values go to dynamics.csv in the run folder; :mod:`mandseg.ranking.scores.training_dynamics` makes scores of them.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import crop
from mandseg.evaluation.predictor import Predictor
from mandseg.metrics.masks import Spacing
from mandseg.noise.label_plan import LabelPlan
from mandseg.system.errors import UserError, one_line
from mandseg.system.files import write_csv
from mandseg.training.losses.band import BAND_MM, band
from mandseg.training.measuring import Box, box_around, evaluation_mode, logits_in_boxes, measured_steps


class Record(NamedTuple):
    """A training case at a step, a row of dynamics.csv.

    Args:
        step: Steps of the run so far.
        case_id: The case.
        label: :func:`label_digest` of the label that it is trained on.
        margin: Mean of the logit of this label over the band: positive where the network agrees.
        probability: Mean of the probability of this label over the band.
    """

    step: int
    case_id: str
    label: str
    margin: float
    probability: float


class TrainingDynamics(Callback):
    """Record all training cases of a stage, several times in a training.

    A case is predicted in the box around its label with a margin of 10 mm, which is at least a training patch. The band
    has the voxels of the scan within 10 mm of the label or of the prediction. After each record the file is replaced as
    a whole, before a checkpoint of this step can be written. So a run that is resumed ends with the file of an
    undisturbed run. No random number is drawn, so the training is the same with and without the callback.

    Args:
        cases: The training cases.
        plan: The labels of the stage; cases that it does not have are not recorded.
        predictor: The network in training.
        records: Number of records, evenly over the training; the last one is at its end.
        steps: Length of the training, over all stages.
        at_least: Voxels that are predicted of each case, at least: the training patch, (X, Y, Z).
        file: dynamics.csv; records of an earlier start of the run are kept.
        steps_before: Steps of the run before this stage.

    Raises:
        UserError: The number of records is not a whole number, 0 or more; or the file is damaged.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        plan: LabelPlan,
        predictor: Predictor,
        records: int,
        steps: int,
        at_least: Sequence[int],
        file: Path,
        steps_before: int = 0,
    ) -> None:
        self.cases = [case for case in cases if case.case.case_id in plan.labels]
        self.plan, self.predictor, self.at_least = plan, predictor, at_least
        self.file, self.steps_before = file, steps_before
        self.due = measured_steps("dynamics", records, steps)
        self._place_of = cache(self._place)  # the label of a case does not change within a stage
        if self.due:
            read_dynamics(file)  # refuses a damaged file before the training

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record after a step that is due."""
        step = self.steps_before + trainer.global_step
        if step not in self.due:
            return
        with evaluation_mode(trainer, pl_module):
            places = [self._place_of(number) for number in range(len(self.cases))]
            boxes = [box for box, _ in places]
            logits = logits_in_boxes(self.predictor, self.cases, boxes, pl_module.device)
            found = [self._record(step, *of_case) for of_case in zip(self.cases, places, logits, strict=True)]
        others = [row for row in read_dynamics(self.file) if row.step != step]
        rows: list[Record] = sorted([*others, *found], key=lambda row: row.step)
        write_csv(self.file, Record._fields, rows)

    def _place(self, number: int) -> tuple[Box, str]:
        """The box of a case, and the digest of its label."""
        case = self.cases[number]
        label, margin = self.plan.label_of(case), [int(BAND_MM / s) for s in case.grid.spacing_mm]
        return box_around([label], self.at_least, margin), label_digest(label)

    def _record(self, step: int, case: PreparedCase, place: tuple[Box, str], logits: torch.Tensor) -> Record:
        (corner, size), digest = place
        label = torch.from_numpy(crop(np.asarray(self.plan.label_of(case)), corner, size, 0)) > 0
        scanned = torch.from_numpy(crop(np.ones(case.image.shape, np.uint8), corner, size, 0)) > 0
        margin, probability = margin_and_probability(logits, label, scanned, case.grid.spacing_mm)
        return Record(step, case.case.case_id, digest, margin, probability)


def margin_and_probability(
    logits: torch.Tensor, label: torch.Tensor, scanned: torch.Tensor, spacing_mm: Spacing
) -> tuple[float, float]:
    """Means of the logit and of the probability of the given label over the band; over all voxels if it is empty.

    Args:
        logits: Of the foreground, float32, (X, Y, Z).
        label: bool, the same shape.
        scanned: Which voxels lie in the scan, bool; others do not count.
        spacing_mm: Voxel edge lengths.
    """
    near = band(label[None, None].float(), logits[None, None], BAND_MM, spacing_mm)[0, 0] & scanned
    of_label = torch.where(label, logits, -logits)[near if near.any() else scanned].double()
    return float(of_label.mean()), float(of_label.sigmoid().mean())


def label_digest(label: npt.NDArray[Any]) -> str:
    """A short hash of a mask: a record counts for a label only if the network was trained on exactly this label."""
    mask = np.ascontiguousarray(np.asarray(label) != 0)
    return hashlib.sha256(f"{mask.shape}".encode() + np.packbits(mask).tobytes()).hexdigest()[:12]


def read_dynamics(file: Path) -> list[Record]:
    """The records of a run, by step; none if there is no file.

    Raises:
        UserError: The file is no dynamics.csv; the line names it.
    """
    try:
        rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))))
        if not rows or tuple(rows[0]) != Record._fields:
            raise ValueError(f"its columns are {', '.join(rows[0])}" if rows else "it is empty")
        records = [Record(int(s), case, label, float(m), float(p)) for s, case, label, m, p in rows[1:]]
        if not np.isfinite([(row.margin, row.probability) for row in records]).all():
            raise ValueError("a value is not finite")
        return records
    except FileNotFoundError:
        return []
    except (OSError, csv.Error, ValueError) as error:
        raise UserError(f"{file}: no training dynamics ({one_line(error)}); move it away, the run goes on") from error
