"""Margins, pairs of masks, pieces and surface distances: numbers and refusals worked out by hand."""

import numpy as np
import pytest

from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.margins import MARGINS
from mandseg.metrics.mask_pair import MaskPair
from mandseg.metrics.masks import bounding_box, connected_pieces, dice, volume_ml
from mandseg.metrics.surfaces import Surfaces, assd_mm, hd95_mm, nsd

EMPTY, ONE = np.zeros((2, 3, 6), bool), np.zeros((2, 3, 6), bool)
ONE[1, 2, 3] = True
SPACING_MM = (1.0, 2.0, 3.0)


def test_margins_in_words_name_only_what_is_stated():
    stated = "Dice 0.02, HD95 1 mm, ASSD 0.3 mm, Surface Dice at 1 mm 0.02, Surface Dice at 2 mm 0.02"
    assert MARGINS.words == stated
    changed = MARGINS.changed({"dice": None, "hd95_mm": 2.5, "volume_error_ml": None})
    assert changed.words == "HD95 2.5 mm, ASSD 0.3 mm, Surface Dice at 1 mm 0.02, Surface Dice at 2 mm 0.02"
    assert MARGINS.words == stated  # the first ones are unchanged


def test_a_margin_has_its_source_only_while_it_is_the_catalogues():
    dice_metric, volume = metric_named("dice"), metric_named("volume_error_ml")
    assert MARGINS.source(dice_metric) == dice_metric.margin.source
    assert MARGINS.source(volume) == "declared for this study"
    assert (MARGINS.of(dice_metric), MARGINS.of(volume)) == (0.02, None)


@pytest.mark.parametrize(
    ("prediction", "reference", "outcome", "volumes"),
    [
        (EMPTY, EMPTY, "both_empty", (0.0, 0.0)),
        (EMPTY, ONE, "missed", (0.0, 0.006)),
        (ONE, EMPTY, "spurious", (0.006, 0.0)),
        (ONE, ONE, "scored", (0.006, 0.006)),
    ],
)
def test_the_outcome_and_the_volumes_of_a_pair(prediction, reference, outcome, volumes):
    pair = MaskPair(prediction, reference, SPACING_MM)
    assert (pair.outcome, (pair.prediction_ml, pair.reference_ml)) == (outcome, pytest.approx(volumes))
    assert pair.diagonal_mm == pytest.approx((2**2 + 6**2 + 18**2) ** 0.5)


@pytest.mark.parametrize("spacing_mm", [(1, 1), (1, 1, 1, 1), (0, 1, 1), (1, -1, 1), (1, 1, np.inf), (np.nan, 1, 1)])
def test_a_spacing_must_be_three_positive_numbers(spacing_mm):
    with pytest.raises(ValueError, match="expected three positive numbers"):
        MaskPair(ONE, ONE, spacing_mm)


@pytest.mark.parametrize(
    ("prediction", "reference", "words"),
    [
        (ONE[0], ONE[0], "prediction is a 2D array of bool, expected a 3D array of bool"),
        (ONE, ONE.astype(np.uint8), "reference is a 3D array of uint8, expected a 3D array of bool"),
        (ONE.astype(np.int16), ONE, "prediction is a 3D array of int16, expected a 3D array of bool"),
    ],
)
def test_only_masks_in_three_dimensions_are_taken(prediction, reference, words):
    with pytest.raises(ValueError, match=words):
        MaskPair(prediction, reference, SPACING_MM)


def test_empty_masks_have_no_box_and_no_slices():
    with pytest.raises(ValueError, match="both masks are empty: there is no box around them"):
        _ = MaskPair(EMPTY, EMPTY, SPACING_MM).cropped
    with pytest.raises(ValueError, match="the reference is empty: it has no slices"):
        _ = MaskPair(ONE, EMPTY, SPACING_MM).in_reference_slices
    assert bounding_box(EMPTY, EMPTY) is None
    assert bounding_box(EMPTY, ONE) == (slice(1, 2), slice(2, 3), slice(3, 4))
    assert [mask.shape for mask in MaskPair(EMPTY, ONE, SPACING_MM).cropped] == [(1, 1, 1)] * 2


def test_pieces_that_touch_at_an_edge_are_one_only_by_corners():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, :2] = mask[1, 1, 0] = mask[3, 3, 3] = True
    pieces, sizes = connected_pieces(mask)
    assert sizes.tolist() == [2, 1, 1]
    assert (pieces[0, 0, 1], pieces[1, 1, 0], pieces[3, 3, 3], pieces[2, 2, 2]) == (1, 2, 3, 0)
    pieces, sizes = connected_pieces(mask, by_corners=True)
    assert sizes.tolist() == [3, 1]
    assert (pieces[0, 0, 1], pieces[1, 1, 0], pieces[3, 3, 3]) == (1, 1, 2)
    assert connected_pieces(EMPTY)[1].tolist() == []


def test_a_thousand_cubic_millimetres_are_a_millilitre():
    assert volume_ml(np.ones((2, 5, 5), bool), (2.0, 1.0, 10.0)) == 1.0
    assert dice(ONE, EMPTY) == 0.0


FOUND = Surfaces(
    distances_gt_to_pred=np.array([0.0, 1.0, 2.0, 7.0]),
    areas_gt=np.array([4.0, 3.0, 2.5, 0.5]),  # 95 % of the area is reached exactly at 2 mm
    distances_pred_to_gt=np.array([1.0, 2.00005]),
    areas_pred=np.array([4.0, 6.0]),
)


def test_surface_metrics_weigh_distances_by_area():
    assert assd_mm(FOUND) == pytest.approx((3 + 5 + 3.5 + 4 + 6 * 2.00005) / 20)
    assert nsd(FOUND, 1.0) == pytest.approx((4 + 3 + 4) / 20)
    assert nsd(FOUND, 2.0) == pytest.approx((9.5 + 10) / 20)  # 2.00005 mm is a tie
    assert nsd(FOUND, 1.9999) == pytest.approx((9.5 + 4) / 20)
    assert nsd(FOUND, 1.99985) == pytest.approx((7 + 4) / 20)


def test_hd95_is_the_larger_distance_within_which_most_of_the_area_lies():
    swapped = Surfaces(FOUND.distances_pred_to_gt, FOUND.areas_pred, FOUND.distances_gt_to_pred, FOUND.areas_gt)
    assert hd95_mm(FOUND) == hd95_mm(swapped) == 2.00005
    far = Surfaces(np.array([0.0, 9.0]), np.array([94.0, 6.0]), np.array([0.0, 9.0]), np.array([96.0, 4.0]))
    assert hd95_mm(far) == 9.0
    assert hd95_mm(Surfaces(*[np.array([0.0, 9.0]), np.array([96.0, 4.0])] * 2)) == 0.0
