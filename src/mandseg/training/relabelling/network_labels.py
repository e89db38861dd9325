"""Self-refinement: a label is replaced where the network of the stage before is sure."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mandseg.data.cache import PreparedCase
from mandseg.evaluation.predictor import Predictor
from mandseg.noise.label_plan import LabelPlan
from mandseg.system.expectations import Expectation, is_number, require
from mandseg.training.stages import RELABEL

CONFIDENCE = Expectation("expected a number from 0.5 to below 1", lambda value: is_number(value) and 0.5 <= value < 1)


class NetworkLabels:
    """Gives a voxel the network's label where its probability of the one or the other is above a confidence.

    Trusted labels stay. These are pseudo-labels (Lee 2013), used for correction. With a confidence of 0.5 they replace
    the labels completely. The first stage is short, so that the network has not memorised the wrong labels yet.

    Args:
        confidence: From 0.5 to below 1.

    Raises:
        UserError: The confidence is out of range.
    """

    def __init__(self, confidence: float = 0.8) -> None:
        require(CONFIDENCE, RELABEL, confidence=confidence)
        self.confidence = confidence

    def __call__(self, cases: Sequence[PreparedCase], plan: LabelPlan, predictor: Predictor, folder: Path) -> LabelPlan:
        """The plan with corrected labels of all cases that are not trusted."""
        corrected = {}
        for prepared in cases:
            case_id = prepared.case.case_id
            if case_id in plan.labels and not plan.labels[case_id].trusted:
                p = predictor.of_case(prepared)
                label = np.where(np.maximum(p, 1 - p) > self.confidence, p > 0.5, plan.label_of(prepared))
                corrected[case_id] = folder / f"{case_id}.npy"
                np.save(corrected[case_id], label.astype(np.uint8))
        return plan.replaced(corrected)
