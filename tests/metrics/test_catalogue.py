"""Only the catalogue names a metric: columns, scores, margins and their sources follow from it."""

from dataclasses import replace

import numpy as np
import pytest

from mandseg.metrics import agreement
from mandseg.metrics.catalogue import MEASURED, METRICS, Empty, Margin, Metric, metric_named
from mandseg.metrics.margins import MARGINS
from mandseg.metrics.mask_pair import MaskPair
from mandseg.metrics.masks import dice
from mandseg.runs.tables import NUMBERS

SPACING_MM = (1.0, 2.0, 3.0)


def block(stop: int, shape=(6, 5, 4)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[:stop, :2, :2] = True
    return mask


def test_one_entry_adds_a_metric_to_every_score(monkeypatch: pytest.MonkeyPatch):
    iou = Metric(
        *("iou", "IoU", "", "higher", 0.0, 1.0, 3),
        lambda pair: (pair.prediction & pair.reference).sum() / (pair.prediction | pair.reference).sum(),
        Empty(one=0.0, both=1.0),
        Margin(0.03, "made up"),
    )
    monkeypatch.setattr(agreement, "METRICS", (*METRICS, iou))
    monkeypatch.setattr(agreement, "MEASURED", (*MEASURED, "iou"))
    assert agreement.score(block(2), block(4), SPACING_MM)["iou"] == 0.5
    assert agreement.score(block(0), block(4), SPACING_MM)["iou"] == 0.0
    assert agreement.score(block(0), block(0), SPACING_MM)["iou"] == 1.0


def test_every_number_of_a_score_is_read_back_as_a_number():
    scores = agreement.score(block(2), block(4), SPACING_MM)
    assert set(scores) - {"outcome"} <= set(NUMBERS)


@pytest.mark.parametrize("metric", [m for m in METRICS if m.empty], ids=lambda m: m.column)
def test_a_missed_case_has_the_worst_value_of_the_metric_and_two_empty_masks_the_best(metric: Metric):
    missed, both = (MaskPair(block(0), reference, SPACING_MM) for reference in (block(3), block(0)))
    diagonal_mm = (6.0**2 + 10.0**2 + 12.0**2) ** 0.5
    worst, best = (metric.lowest, metric.highest) if metric.better == "higher" else (diagonal_mm, metric.lowest)
    assert (metric.measure(missed), metric.measure(both)) == (pytest.approx(worst), best)


def test_a_changed_margin_has_no_published_source():
    dice_metric = metric_named("dice")
    assert "Oktay 2020" in MARGINS.source(dice_metric)
    assert MARGINS.changed({"dice": 0.05}).source(dice_metric) == "declared for this study"
    assert replace(MARGINS) == MARGINS.changed({})


def test_dice_is_the_same_for_arrays_and_tensors_and_1_where_both_are_empty():
    import torch

    first, second = block(2), block(4)  # 8 and 16 voxels, 8 in common
    assert dice(first, second) == dice(torch.from_numpy(first), torch.from_numpy(second)) == pytest.approx(2 / 3)
    assert dice(block(0), block(0)) == 1.0
    empty, full = torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
    assert (dice(empty, empty), dice(empty, full), dice(full, full)) == (1, 0, 1)
