"""Scores of a label against a prediction: values that follow by hand from a few voxels."""

import numpy as np
import pandas as pd
import pytest

from mandseg.evaluation.postprocessing import without_small_pieces
from mandseg.ranking.judges.dynamics import dynamics_table, same_moments
from mandseg.ranking.judges.evidence import STEPS, counts_in_band, measure_evidence, wrong_in_band
from mandseg.ranking.judges.judged import scores_of
from mandseg.ranking.judges.predictions import without_islands
from mandseg.ranking.scores.annotator import annotator_bias_mm
from mandseg.ranking.scores.catalogue import SCORES
from mandseg.ranking.scores.confident_count import confident_share, thresholds
from mandseg.ranking.scores.cross_entropy import NEAREST, cross_entropy_less_entropy
from mandseg.ranking.scores.mean_rank import mean_rank
from mandseg.ranking.scores.overlap import soft_dice_error
from mandseg.ranking.scores.soft_minimum import soft_minimum
from mandseg.training.dynamics import Record
from shapes import ISO, horseshoe


def counts(rest=(), bone=()):
    """Voxels with these probabilities, labelled as rest and as bone."""
    found = np.zeros((2, STEPS + 1), np.int64)
    for row, values in enumerate((rest, bone)):
        for p in values:
            found[row, round(STEPS * p)] += 1
    return found


def test_soft_dice_error():
    assert soft_dice_error(counts(rest=[0.0], bone=[1.0, 1.0])) == 0
    assert soft_dice_error(counts(rest=[0.4], bone=[0.8])) == pytest.approx(1 - 1.6 / (1.2 + 1))
    assert soft_dice_error(counts()) == 0


def test_entropy_forgives_a_hard_voxel_and_not_a_sure_contradiction():
    half = 127 / STEPS
    assert abs(cross_entropy_less_entropy(counts(bone=[half]))) < 0.01  # CE = H = ln 2
    entropy = -NEAREST * np.log(NEAREST) - (1 - NEAREST) * np.log1p(-NEAREST)
    assert cross_entropy_less_entropy(counts(rest=[1.0])) == pytest.approx(-np.log(NEAREST) - entropy)
    one_of_two = cross_entropy_less_entropy(counts(rest=[1.0, 0.0]))
    assert one_of_two == pytest.approx((cross_entropy_less_entropy(counts(rest=[1.0])) + NEAREST_RIGHT) / 2)


NEAREST_RIGHT = cross_entropy_less_entropy(counts(rest=[0.0]))


def test_the_soft_minimum_weighs_a_wrong_voxel_22026_times():
    right, wrong = 22026, 1
    found = counts(rest=[1.0] * wrong) + right * counts(rest=[0.0])
    assert soft_minimum(found) == pytest.approx(1 - right / (right + wrong * np.exp(10)))
    assert soft_minimum(counts(rest=[0.0], bone=[1.0])) == 0


def test_confident_learning_flags_what_is_at_or_above_the_threshold_of_the_other_class():
    cases = [counts(rest=[0.0, 0.2], bone=[0.8, 0.6]), counts(rest=[0.1], bone=[0.1])]
    t0, t1 = thresholds(cases)
    assert (t0, t1) == (pytest.approx(0.9, abs=1e-3), pytest.approx(0.5, abs=1e-3))
    assert confident_share(cases[0], t0, t1) == 0
    assert confident_share(counts(rest=[0.1], bone=[0.05]), t0, t1) == 0.5  # 0.95 >= 0.9: confidently rest


def test_the_band_leaves_out_what_is_far_from_label_and_prediction():
    label = np.zeros((60, 10, 10), bool)
    label[5, 5, 5] = True
    found = counts_in_band(label, np.zeros(label.shape, np.float32), ISO)
    assert found.sum() == 16 * 10 * 10  # x from 0 to 15
    assert found[1, 0] == 1


def test_a_voxel_is_suspicious_by_the_probability_of_the_class_that_the_label_does_not_give():
    label, reference, p = np.zeros((9, 1, 1), bool), np.zeros((9, 1, 1), bool), np.zeros((9, 1, 1), np.float32)
    label[2:4] = reference[2] = True
    p[2], p[3], p[5] = 1.0, 0.2, 0.6
    found = wrong_in_band(label, reference, p, (10.0, 10.0, 10.0))  # the band: voxels 1 to 6
    assert found.sum() == 6
    assert found[0, 0] == 4  # voxels 1, 2, 4 and 6 are right and sure
    assert found[0, round(0.6 * STEPS)] == 1
    assert found[1, round(0.8 * STEPS)] == 1  # the label adds voxel 3


def curve(case_id, label, margins, probabilities=None, steps=(10, 20)):
    p = probabilities or [0.5] * len(margins)
    return [Record(step, case_id, label, *values) for step, *values in zip(steps, margins, p, strict=False)]


def test_training_dynamics_are_means_over_the_training_and_over_the_networks_that_learned_this_label():
    first = [*curve("a", "la", [1.0, 3.0], [0.6, 0.8]), *curve("b", "old", [9.0, 9.0]), *curve("c", "lc", [1.0])]
    second = [*curve("a", "la", [-1.0, 1.0], [0.5, 0.5]), *curve("b", "lb", [-4.0, -2.0], [0.1, 0.3])]
    found = dynamics_table([first, second, []], {"a": "la", "b": "lb", "c": "lc", "d": "ld"}).set_index("case_id")
    assert list(found.index) == ["a", "b"]  # c was not trained on to the end
    assert found.low_margin.to_dict() == {"a": -1.0, "b": 3.0}
    assert found.low_confidence.to_dict() == pytest.approx({"a": 1 - 0.6, "b": 0.8})
    assert found.variability.to_dict() == pytest.approx({"a": 0.05, "b": 0.1})
    assert same_moments([first, second, []])
    assert not same_moments([first, curve("a", "la", [1.0, 3.0], steps=(10, 30))])
    assert dynamics_table([[]], {"a": "la"}).empty


def evidence(label, members=None, p=None):
    p = horseshoe().astype(np.float32) if p is None else p
    return measure_evidence(label, p, members or [], ISO)


def test_a_label_without_condyles_is_named_by_its_displacement_in_mm():
    cut = horseshoe()
    cut[:, :, 28:] = False  # 8 mm
    found = scores_of(evidence(cut), (0.9, 0.9))
    assert found["bias_condyle_mm"] < -2
    assert abs(found["bias_body_mm"]) < 0.1
    assert found["dice_error"] == pytest.approx(1 - 2 * cut.sum() / (cut.sum() + horseshoe().sum()))
    same = scores_of(evidence(horseshoe()), (0.9, 0.9))
    assert [same[name] for name in ("dice_error", "surface_mm", "surface95_mm", "redrawn_share")] == [0, 0, 0, 0]
    for score in SCORES:
        if score.needs == "predictions":
            assert found[score.name] > same[score.name], score.name


def test_disagreement_of_the_networks_lowers_the_score_and_one_network_has_none():
    first, second = horseshoe(), np.roll(horseshoe(), 2, 0)
    cut = horseshoe()
    cut[:, :, 28:] = False
    alone, both = (scores_of(evidence(cut, members), (0.9, 0.9)) for members in ([first, first], [first, second]))
    assert alone["disagreement"] == 0
    assert both["less_disagreement"] == pytest.approx(alone["less_disagreement"] - both["disagreement"])
    assert scores_of(evidence(cut), (0.9, 0.9))["less_disagreement"] is None


def test_an_empty_label_and_an_empty_prediction_have_scores():
    nothing = np.zeros_like(horseshoe())
    for found in (evidence(nothing), evidence(horseshoe(), p=nothing.astype(np.float32))):
        values = scores_of(found, (0.9, 0.9))
        assert values["dice_error"] == 1
        assert values["bias_mm"] is None
        assert np.isfinite(values["surface_mm"])


def test_the_bias_of_an_annotator_is_shrunken_and_unnamed_labels_have_none():
    names = ["a"] * 6 + ["b"] * 6 + [""]
    found = annotator_bias_mm(names, [3.0, 3.2, 2.8, 3.1, 2.9, None, 0.1, -0.1, 0.0, 0.2, -0.2, 0.0, 9.0])
    assert found[0] == pytest.approx(3.0, abs=0.1)
    assert found[5] == found[0]
    assert found[6] < 0.2
    assert found[12] == 0
    assert annotator_bias_mm(["a", "b"], [None, 1.0]) == [0, 0]


def test_islands_of_a_prediction_do_not_count():
    p = horseshoe() * np.float32(0.9)
    p[0, 0, 0] = 0.8
    p[30, 30, 30] = 0.4
    cleaned = without_islands(p, 0.2)
    assert cleaned[0, 0, 0] == 0
    assert cleaned[30, 30, 30] == np.float32(0.4)
    np.testing.assert_array_equal(cleaned >= 0.5, without_small_pieces(p >= 0.5, 0.2))


def test_mean_rank_is_the_mean_of_two_places_among_the_labels():
    cohort = pd.DataFrame({"outlier": [1.0, 2.0, 3.0, 9.0], "redrawn_share": [0.3, 0.2, 0.1, np.nan]})
    assert mean_rank(cohort, cohort)[:3].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert np.isnan(mean_rank(cohort, cohort)[3])  # no network judges it
    others = pd.DataFrame({"outlier": [9.0, 0.0, 3.0], "redrawn_share": [0.9, 0.0, 0.25]})
    assert mean_rank(others, cohort).tolist() == pytest.approx([1.0, 0.0, (5 / 6 + 2 / 3) / 2])
    assert mean_rank(others, cohort[3:]).isna().all()
