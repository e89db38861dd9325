"""Dose-volume measures of structures of a few voxels, checkable by hand, and their errors."""

import numpy as np
import pytest

from mandseg.data.dose.sampling import dose_at
from mandseg.data.volume import Geometry, Volume
from mandseg.metrics.dose.catalogue import LEVELS_GY, columns_of, measures, measures_of, scores_of
from mandseg.metrics.dose.histogram import Histogram
from mandseg.metrics.dose.pair import DosePair, dose_scores
from mandseg.metrics.mask_pair import MaskPair
from mandseg.system.errors import UserError

FOUR = Histogram(np.array([20.0, 40.0, 10.0, 30.0]), 0.05)  # 0.2 ml


def pair_of(prediction: list[float], reference: list[float]) -> MaskPair:
    """A line of voxels; its first voxels are the prediction, and the reference, with these doses."""
    masks = [np.zeros((6, 1, 1), bool) for _ in range(2)]
    for mask, gray in zip(masks, (prediction, reference), strict=True):
        mask[: len(gray)] = True
    dose = DosePair(*(Histogram(np.array(gray), 0.05) for gray in (prediction, reference)))
    return MaskPair(masks[0], masks[1], (5.0, 2.0, 5.0), 2, dose)


def test_the_hottest_part_of_a_volume_lies_between_the_voxels_at_its_end():
    """The hottest voxel ends at 0.05 ml and has its dose at half of it; 0.1 ml is midway between 30 and 20 Gy."""
    assert FOUR.hottest_gy(0.025) == 40.0
    assert FOUR.hottest_gy(0.075) == 30.0
    assert FOUR.hottest_gy(0.1) == pytest.approx(25.0)
    assert FOUR.hottest_gy(0.01) == 40.0  # in the hottest half voxel
    assert FOUR.hottest_gy(0.2) == 10.0
    assert FOUR.mean_gy == 25.0


def test_a_structure_smaller_than_the_volume_has_its_maximum():
    assert FOUR.hottest_gy(2.0) == 40.0
    assert Histogram(np.array([7.0]), 0.02).hottest_gy(0.1) == 7.0


def test_the_share_of_a_level_counts_voxels_with_exactly_its_dose():
    assert FOUR.share_percent(30.0) == 50.0
    assert FOUR.share_percent(30.1) == 25.0
    assert FOUR.share_percent(41.0) == 0.0


def test_an_even_dose_fills_its_level_wherever_the_grids_lie():
    dose = Volume(np.full((20, 20, 20), 44.0, np.float32), np.diag([2.5, 2.5, 2.5, 1.0]))
    grid = Geometry((30, 30, 10), np.diag([0.9766, 0.9766, 3.0, 1.0]))
    gray = dose_at(dose, np.ones(grid.shape, bool), grid)
    assert gray.min() < 44.0  # by 1e-14
    assert Histogram(gray, 0.003).share_percent(44.0) == 100.0
    assert Histogram(gray, 0.003).share_percent(44.001) == 0.0


def test_finer_voxels_of_one_dose_give_the_same_measures_where_it_is_flat():
    coarse, fine = Histogram(np.full(10, 50.0), 0.8), Histogram(np.full(640, 50.0), 0.0125)
    for measure in measures():
        assert measure.of(coarse) == measure.of(fine)


def test_errors_are_prediction_minus_reference_and_absolute_errors_have_no_sign():
    scores = dose_scores(pair_of([10.0, 20.0], [30.0, 50.0, 70.0]), measures())
    assert list(scores) == columns_of(measures())
    assert (scores["dmean_gy_prediction"], scores["dmean_gy_reference"]) == (15.0, 50.0)
    assert scores["dmean_gy_error"] == -35.0
    assert scores["d2cc_gy_error"] == 20.0 - 70.0  # both are smaller than 2 cc: the maxima
    assert scores["v44_percent_error"] == pytest.approx(-200 / 3)
    (absolute,) = (m.absolute for m in measures() if m.name == "dmean_gy")
    assert absolute.measure(pair_of([10.0, 20.0], [30.0, 50.0, 70.0])) == 35.0
    assert (absolute.better, absolute.worsening(1.0)) == ("lower", 1.0)


def test_a_missed_contour_has_the_error_of_the_whole_dose_and_is_not_dropped():
    missed, spurious, both = (pair_of(*two) for two in (([], [30.0, 50.0]), ([60.0], []), ([], [])))
    assert missed.outcome == "missed"
    assert dose_scores(missed, measures())["dmean_gy_error"] == -40.0
    assert dose_scores(spurious, measures())["dmean_gy_error"] == 60.0
    assert dose_scores(both, measures())["d0_1cc_gy_error"] == 0.0


def test_a_pair_without_a_dose_has_no_dose_scores():
    pair = MaskPair(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="without a dose"):
        dose_scores(pair, measures())


def test_the_measures_of_a_table_follow_from_its_columns():
    found = measures([60.5, 44.0])
    assert [measure.label for measure in found] == ["Dmean", "D0.1cc", "D2cc", "V44", "V60.5"]
    assert [m.name for m in measures_of([*columns_of(found), "dice"])] == [m.name for m in found]
    assert measures_of(["dice", "dmean_gy"]) == ()
    assert len({score.column for score in scores_of(found)}) == 10


def test_measures_in_gray_have_a_margin_with_a_source_and_shares_have_none():
    for measure in measures(LEVELS_GY):
        assert (measure.absolute.margin is not None) == (measure.unit == "Gy")
        assert measure.error.margin is None


@pytest.mark.parametrize("level", [0.0, -5.0, 4400.0, float("nan")])
def test_a_level_that_is_no_dose_is_refused(level: float):
    with pytest.raises(UserError, match=r"dose level .* Gy: expected more than 0 and at most 200 Gy"):
        measures([44.0, level])
