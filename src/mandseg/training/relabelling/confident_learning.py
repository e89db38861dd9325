"""Confident learning on voxels: labels that contradict a confident out-of-fold prediction are changed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mandseg.data.cache import PreparedCase
from mandseg.evaluation.predictor import Predictor
from mandseg.noise.label_plan import LabelPlan
from mandseg.system.expectations import REACH_MM, require
from mandseg.training.losses.band import band
from mandseg.training.stages import RELABEL

STEPS = 255  # in which a probability is kept between the two passes


class ConfidentLearning:
    """Changes the label of a voxel near the contour that is confidently of the other class.

    Northcutt et al., JAIR 70:1373 (2021, arXiv 1911.00068): the threshold of a class is the mean probability of this
    class over the voxels with its label; a voxel is confidently of a class if its probability is at or above the
    threshold; of both, the more probable one counts. The probabilities are out-of-fold. Both passes look at the band
    around label and prediction only: with all voxels, the threshold of the background would be 1.

    The cases are read one by one, twice. The first pass adds up four numbers and keeps the probabilities in the files
    that will hold the labels, in 255 steps; the second pass replaces them. The memory does not grow with the cases.
    Trusted cases count for the thresholds, and their labels stay.

    Args:
        reach_mm: Reach of the band.

    Raises:
        UserError: The reach is out of range.
    """

    def __init__(self, reach_mm: float = 10.0) -> None:
        require(REACH_MM, RELABEL, reach_mm=reach_mm)
        self.reach_mm = reach_mm

    def __call__(self, cases: Sequence[PreparedCase], plan: LabelPlan, predictor: Predictor, folder: Path) -> LabelPlan:
        """The plan with corrected labels of all cases that are not trusted.

        Args:
            cases: All training cases.
            plan: The labels so far.
            predictor: Gives a case the prediction of a network that was not trained on it.
            folder: Where the labels are written.
        """
        known = [prepared for prepared in cases if prepared.case.case_id in plan.labels]
        files = {prepared.case.case_id: folder / f"{prepared.case.case_id}.npy" for prepared in known}
        sums = np.zeros((2, 2))
        for prepared in known:
            stored = np.rint(STEPS * predictor.of_case(prepared)).astype(np.uint8)
            np.save(files[prepared.case.case_id], stored)
            sums += self._sums(stored / STEPS, np.asarray(plan.label_of(prepared)), prepared)
        thresholds = sums[:, 0] / np.maximum(sums[:, 1], 1)
        for prepared in known:
            file, label = files[prepared.case.case_id], np.asarray(plan.label_of(prepared))
            p = np.load(file) / STEPS
            wrong = mislabelled(p, label, thresholds[0], thresholds[1]) & self._band(p, label, prepared)
            np.save(file, np.where(wrong, 1 - label, label).astype(np.uint8))
        for case_id in plan.trusted:
            files.pop(case_id).unlink()
        return plan.replaced(files)

    def _sums(
        self, p: npt.NDArray[np.float64], label: npt.NDArray[np.uint8], prepared: PreparedCase
    ) -> npt.NDArray[np.float64]:
        """For each class the sum of its probability over the voxels with its label, and their number, (2, 2)."""
        inside = self._band(p, label, prepared)
        of_bone, of_rest = p[inside & (label > 0)], 1 - p[inside & (label == 0)]
        return np.array([[of_rest.sum(), of_rest.size], [of_bone.sum(), of_bone.size]])

    def _band(
        self, p: npt.NDArray[np.float64], label: npt.NDArray[np.uint8], prepared: PreparedCase
    ) -> npt.NDArray[np.bool_]:
        drawn, predicted = torch.from_numpy(label.astype(np.float32)), torch.from_numpy(p - 0.5)
        found = band(drawn[None, None], predicted[None, None], self.reach_mm, prepared.grid.spacing_mm)
        inside: npt.NDArray[np.bool_] = found[0, 0].numpy()
        return inside


def mislabelled(
    p: npt.NDArray[np.float64], label: npt.NDArray[np.uint8], threshold_0: float, threshold_1: float
) -> npt.NDArray[np.bool_]:
    """The voxels that are confidently of the other class.

    Args:
        p: Probability of the foreground.
        label: 0 or 1.
        threshold_0: Mean probability of the background where it is labelled.
        threshold_1: Mean probability of the foreground where it is labelled.
    """
    sure_0, sure_1 = 1 - p >= threshold_0, p >= threshold_1
    confident = np.where(sure_0 & sure_1, p > 0.5, sure_1)
    return np.asarray((sure_0 | sure_1) & (confident != (label > 0)))
