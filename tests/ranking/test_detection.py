"""Detection figures: values that follow by hand, and a random order that recovers nothing on average."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mandseg.ranking.detection.figures import (
    auroc,
    auroc_of_counts,
    average_precision,
    average_precision_of_counts,
    recovered_area,
    spearman,
)
from mandseg.ranking.detection.labels import FIGURES, detection_table, sentence
from mandseg.ranking.detection.places import places_table
from mandseg.ranking.truth import wrong_labels

WRONG = np.array([True, False, True, False])


def test_auroc_is_the_share_of_pairs_in_order_and_ties_are_half():
    assert auroc(np.array([4.0, 1, 3, 2]), WRONG) == 1
    assert auroc(np.array([1.0, 4, 2, 3]), WRONG) == 0
    assert auroc(np.array([4.0, 3, 3, 1]), WRONG) == (1 + 1 + 0.5 + 1) / 4
    assert np.isnan(auroc(np.ones(2), np.array([True, True])))


def test_average_precision_is_the_mean_precision_at_each_wrong_label():
    assert average_precision(np.array([4.0, 3, 2, 1]), WRONG) == (1 / 1 + 2 / 3) / 2
    assert average_precision(np.ones(4), WRONG) == (1 / 3 + 2 / 4) / 2  # ties do not help


def test_the_oracle_recovers_all_and_random_orders_nothing_on_average():
    rng = np.random.default_rng(0)
    error = rng.exponential(size=30)
    assert recovered_area(error, error) == 1
    assert recovered_area(-error, error) < -0.5
    assert abs(np.mean([recovered_area(rng.permutation(30).astype(float), error) for _ in range(500)])) < 0.05
    assert recovered_area(error, np.ones(30)) == 0  # nothing to choose between


def test_labels_of_one_score_have_no_order_of_their_own():
    """A score that is the same for all labels is a random order, in whichever order the manifest lists them."""
    error = np.array([5.0, 4, 3, 2, 1, 0])
    for listed in (error, error[::-1]):
        assert recovered_area(np.zeros(6), listed) == pytest.approx(0)
        both = [recovered_area(np.array(score, float), listed) for score in ([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1])]
        assert both[0] == pytest.approx(-both[1])
    halves = recovered_area(np.array([1.0, 1, 0, 0]), np.array([4.0, 0, 2, 0]))
    orders = [
        recovered_area(np.array(p, float), np.array([4.0, 0, 2, 0]))
        for p in permutations(range(4))
        if min(p[:2]) > max(p[2:])
    ]
    assert halves == pytest.approx(np.mean(orders))


def table(seed=0):
    rng = np.random.default_rng(seed)
    error = rng.exponential(size=60)
    return pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(60)],
            "annotator": ["a", "b", "c"] * 20,
            "outlier": rng.permutation(60).astype(float),
            "dice_error": error + rng.normal(0, 0.1, 60),
            "less_disagreement": [np.nan] * 60,
        }
    ), pd.Series(error)


def test_the_table_ranks_the_scores_and_compares_each_with_stratified_random_orders():
    scores, error = table()
    found = detection_table(scores, error, wrong_labels(error)).set_index("score")
    assert list(found.index) == ["dice_error", "outlier", "random"]  # a score with gaps has no row
    assert found.recovered["dice_error"] > 0.9
    assert list(found.above_random) == [1, 0, 0]
    for name in FIGURES:
        assert (found[f"{name}_low"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_high"]).all()
        assert found[f"{name}_low"]["outlier"] < found[f"{name}_high"]["outlier"]
    for name, limit in (("auroc", 0.5), ("spearman", 0)):
        assert found[f"{name}_low"]["outlier"] < limit < found[f"{name}_low"]["dice_error"]
    assert found.recovered_low["outlier"] < 0 < found.recovered_low["dice_error"]
    assert abs(found.auroc["random"] - 0.5) < 0.05
    assert list(found.n_wrong) == [20, 20, 20]


def test_the_page_states_that_a_random_order_may_be_as_good():
    scores, error = table()
    found = detection_table(scores, error, wrong_labels(error))
    assert "This is not better than a random order" in sentence(found, "outlier", "the references of 60 cases")
    assert "more than 97.5 % of random orders recover" in sentence(found, "dice_error", "the references of 60 cases")
    assert "could not be measured" in sentence(found, "learned", "x")


def test_labels_like_their_reference_are_right_and_else_the_worst_third_is_wrong():
    assert list(wrong_labels(pd.Series([0.0, 0.3, 0.0]))) == [False, True, False]
    assert list(wrong_labels(pd.Series([0.1, 0.3, 0.2]))) == [False, True, False]


def test_one_label_of_each_kind_is_enough_and_a_constant_score_has_no_correlation():
    scores = pd.DataFrame({"case_id": ["a", "b"], "annotator": ["x", "x"], "outlier": [1.0, 1.0]})
    found = detection_table(scores, pd.Series([0.0, 1.0]), pd.Series([False, True]))
    assert found.spearman[0] == 0
    assert found.auroc[0] == pytest.approx(0.5)


def test_counted_voxels_have_the_figures_of_single_ones():
    rng = np.random.default_rng(3)
    score, wrong = rng.integers(0, 5, 200), rng.random(200) < 0.3
    counts = np.array([np.bincount(score[wrong == kind], minlength=5) for kind in (False, True)])
    assert auroc_of_counts(counts) == pytest.approx(auroc(score.astype(float), wrong))
    steps = [[3, 0, 1], [0, 2, 1]]  # the highest score: one of each; then two wrong ones; then three right ones
    assert average_precision_of_counts(np.array(steps)) == pytest.approx((1 / 2 + 2 * 3 / 4) / 3)
    assert np.isnan(auroc_of_counts(np.array([[1, 2], [0, 0]])))
    assert np.isnan(average_precision_of_counts(np.array([[1, 2], [0, 0]])))
    error = rng.random(200)
    assert spearman(score.astype(float), error) == pytest.approx(stats.spearmanr(score, error)[0])


def test_regions_that_are_wrong_are_found_by_their_displacement_from_the_prediction():
    judged = pd.DataFrame({"bias_condyle_mm": [-5.0, -4.0, 0.1, 0.2], "bias_body_mm": [0.1, 2.0, 0.2, np.nan]})
    truth = pd.DataFrame({"bias_condyle_mm": [-6.0, -1.5, 0.0, 1.4], "bias_body_mm": [2.0, 0.0, 0.0, 3.0]})
    judged, truth = (frame.assign(bias_ramus_mm=np.nan) for frame in (judged, truth))  # nowhere a surface
    counts = np.array([[[8, 0], [0, 2]], [[9, 1], [0, 0]], [[5, 5], [0, 0]], [[9, 0], [1, 0]]])
    found = places_table(counts, judged, truth).set_index("place")
    assert set(found.index[2:]) == {"body", "condyle", "ramus"}
    found = found.loc[["voxels", "all regions", "body", "condyle", "ramus"]]
    assert list(found.n) == [40, 7, 3, 4, 0]
    assert list(found.n_wrong) == [3, 3, 1, 2, 0]
    assert found.auroc["condyle"] == found.average_precision["condyle"] == 1
    assert found.auroc["body"] == 0  # 0.1 mm and wrong; 2.0 and 0.2 mm and right
    assert found.auroc["all regions"] == pytest.approx((4 + 4 + 0.5) / 12)  # 0.1 mm is worse than all but its equal
    assert np.isnan(found.auroc["ramus"])
    right, wrong = 37, 3
    assert found.auroc["voxels"] == pytest.approx((2 * (31 + 6 / 2) + 1 * 31 / 2) / (right * wrong))
    assert found.average_precision["voxels"] == pytest.approx((2 * 2 / 8 + 1 * 3 / 40) / 3)
    assert found.auroc_low["all regions"] < found.auroc["all regions"] < found.auroc_high["all regions"]
    assert found.auroc_low["voxels"] < found.auroc["voxels"] < found.auroc_high["voxels"]


def test_nothing_is_said_of_a_score_where_no_label_is_wrong():
    scores, error = table()
    right = wrong_labels(error * 0)
    assert not right.any()
    found = detection_table(scores, error * 0, right)
    assert sentence(found, "dice_error", "the references of 60 cases") == (
        "Compared with the references of 60 cases: no label is more wrong than another, so the score dice_error could "
        "not be measured."
    )
