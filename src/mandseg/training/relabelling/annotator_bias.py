"""Boundary bias correction: the contours of an annotator who draws too wide or too tight are moved back, in mm."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mandseg.data.cache import PreparedCase
from mandseg.evaluation.predictor import Predictor
from mandseg.metrics.displacement import measure_deviation
from mandseg.metrics.signed_distance import signed_distance_mm
from mandseg.noise.label_plan import LabelPlan
from mandseg.statistics.annotator_effect import Effect, annotator_effects
from mandseg.system.errors import UserError
from mandseg.system.expectations import number, require
from mandseg.system.files import write_csv
from mandseg.training.stages import RELABEL

TABLE = "annotator_bias.csv"
LEAST_PAIRS = 2


class AnnotatorBias:
    """Moves the labels that are not trusted by the signed bias of their annotator.

    The bias of a case is the median displacement of its noisy label from its reference over the surface, as in
    ``mandseg audit``, positive outward. The audit gives the mean. The median is used here because a missing condyle
    does not change it. It is measured on the trusted training cases that have both labels, and on no others. The mean
    of an annotator is shrunk towards the mean of all (:mod:`mandseg.statistics.annotator_effect`). Where its interval
    excludes zero, a label becomes the voxels whose signed distance to its contour is below minus the bias.

    The idea is that of a spatial correction by a signed distance (Yao et al., ICLR 2023), by annotator and in mm. It
    assumes that every label that is not trusted was drawn by its annotator; a correct one among them is moved, too.

    Args:
        confidence: Of the intervals, above 0 and below 1.

    Raises:
        UserError: The confidence is out of range.
    """

    needs_network = False

    def __init__(self, confidence: float = 0.95) -> None:
        require(number(0, 1, "a number between 0 and 1", ends=False), RELABEL, confidence=confidence)
        self.confidence = confidence

    def __call__(
        self, cases: Sequence[PreparedCase], plan: LabelPlan, predictor: Predictor | None, folder: Path
    ) -> LabelPlan:
        """The plan with the moved labels; annotator_bias.csv beside them has the biases.

        Raises:
            UserError: Fewer than two trusted cases with both labels.
        """
        biases = biases_of_trusted(cases, plan)
        names = {label.annotator for label in plan.labels.values()}
        effects = annotator_effects(biases, names, self.confidence)
        rows = [[name, e.n, e.mean, e.low, e.high, int(e.excludes_zero)] for name, e in effects.items()]
        write_csv(folder / TABLE, ["annotator", "n_cases", "bias_mm", "bias_low_mm", "bias_high_mm", "moved"], rows)
        moved = [case for case in cases if self._is_moved(case.case.case_id, plan, effects)]
        return plan.replaced({case.case.case_id: self._move(case, plan, effects, folder) for case in moved})

    @staticmethod
    def _is_moved(case_id: str, plan: LabelPlan, effects: Mapping[str, Effect]) -> bool:
        label = plan.labels.get(case_id)
        return label is not None and not label.trusted and effects[label.annotator].excludes_zero

    @staticmethod
    def _move(prepared: PreparedCase, plan: LabelPlan, effects: Mapping[str, Effect], folder: Path) -> Path:
        bias_mm = effects[plan.labels[prepared.case.case_id].annotator].mean
        file = folder / f"{prepared.case.case_id}.npy"
        np.save(file, moved_inward(plan.label_of(prepared), bias_mm, prepared.grid.spacing_mm))
        return file


def biases_of_trusted(cases: Sequence[PreparedCase], plan: LabelPlan) -> dict[str, list[float]]:
    """Annotator to the bias of each trusted case with both labels, in mm.

    Raises:
        UserError: There are fewer than two.
    """
    biases: dict[str, list[float]] = defaultdict(list)
    trusted = frozenset(plan.trusted)
    for prepared in cases:
        if prepared.case.case_id in trusted and prepared.noisy is not None and prepared.reference is not None:
            noisy, reference = (np.asarray(label, np.bool_) for label in (prepared.noisy, prepared.reference))
            if noisy.any() and reference.any():
                biases[prepared.annotator].append(bias_of(noisy, reference, prepared.grid.spacing_mm))
    if (n := sum(map(len, biases.values()))) < LEAST_PAIRS:
        raise UserError(
            f"bias correction: {n} trusted training cases have both labels, expected {LEAST_PAIRS} or more; "
            "clean_budget=10 makes ten trusted ones"
        )
    return dict(biases)


def bias_of(
    noisy: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> float:
    """Median displacement of a noisy label over the area of its reference's surface; mm, positive outward."""
    deviation = measure_deviation(noisy, reference, spacing_mm)
    order = np.argsort(deviation.displacement_mm, kind="stable")
    area = np.cumsum(deviation.areas_mm2[order])
    return float(deviation.displacement_mm[order][np.searchsorted(area, area[-1] / 2)])


def moved_inward(
    label: npt.NDArray[np.uint8], distance_mm: float, spacing_mm: tuple[float, float, float]
) -> npt.NDArray[np.uint8]:
    """A label (X, Y, Z) whose contour is moved inward; a negative distance moves it outward."""
    mask = np.asarray(label, np.bool_)
    moved = signed_distance_mm(mask, spacing_mm) < -distance_mm if mask.any() else mask
    return moved.astype(np.uint8)
