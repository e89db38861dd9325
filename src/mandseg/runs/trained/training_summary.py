"""Measures the labels that a network is trained on, for the quality flag of its predictions."""

from collections.abc import Sequence

import numpy as np

from mandseg.data.cache import PreparedCase
from mandseg.evaluation.prediction.training_summary import TrainingSummary
from mandseg.metrics.masks import volume_ml
from mandseg.noise.label_plan import LabelPlan


def summarise_training(training: Sequence[PreparedCase], plan: LabelPlan) -> TrainingSummary | None:
    """Volumes and HU of the labels that the plan gives, on the grid of the training; None if all labels are empty."""
    volumes_ml, medians_hu = [], []
    for prepared in training:
        label = np.asarray(plan.label_of(prepared), dtype=np.bool_)
        if label.any():
            volumes_ml.append(volume_ml(label, prepared.grid.spacing_mm))
            medians_hu.append(float(np.median(prepared.image[label])))
    if not volumes_ml:
        return None
    return TrainingSummary(
        len(volumes_ml),
        (round(min(volumes_ml), 2), round(max(volumes_ml), 2)),
        (min(medians_hu), max(medians_hu)),
    )
