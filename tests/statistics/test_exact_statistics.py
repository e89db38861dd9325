"""Intervals, p-values, verdicts, ranks, curves and plans: repeated by hand or in another form."""

from dataclasses import replace
from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats

from mandseg.metrics.catalogue import metric_named
from mandseg.statistics.bootstrap import Distribution, Interval, Resampling, calibrated, draw_means
from mandseg.statistics.dose_response import cross, fit_isotonic
from mandseg.statistics.mixed_model import mixed_check
from mandseg.statistics.non_inferiority import equivalence, p_equivalent, p_non_inferior, verdict
from mandseg.statistics.paired_tests import Pairs, holm, rank_pairs, signed_rank
from mandseg.statistics.pilot import Pilot, choose_pilot
from mandseg.statistics.planning import Question, cases_needed, design_power
from mandseg.statistics.power import detectable_difference, power_of
from mandseg.statistics.results import Difference
from mandseg.statistics.score_table import ScoreMatrix
from mandseg.statistics.variance import Components, VarianceParts
from mandseg.system.errors import UserError

DICE, HD95, VOLUME = (metric_named(name) for name in ("dice", "hd95_mm", "volume_error_ml"))
NAN = np.nan


@pytest.mark.parametrize(
    ("low", "high", "cut"),
    [(-1.0, 0.5, (0.0, 0.5)), (0.5, 3.0, (0.5, 1.0)), (-2.0, -1.0, (0.0, 0.0)), (2.0, 3.0, (1.0, 1.0))],
)
def test_an_interval_ends_at_what_is_possible(low, high, cut):
    ends = Interval(low, high).within(0.0, 1.0)
    assert (ends.low, ends.high) == cut


def distribution(resamples, estimate=0.0, n=4000, confidence=0.95):
    spread = VarianceParts(((1.0, 4),))
    return Distribution(estimate, np.array(resamples), spread, Resampling(n, confidence))


def test_bounds_are_percentiles_that_are_stretched_from_normal_to_t():
    found = distribution(np.linspace(0, 1, 1001), 0.4, confidence=0.9)
    stretch = stats.t.ppf(0.95, 4) / stats.norm.ppf(0.95)
    assert found.interval.low == pytest.approx(0.4 - (0.4 - 0.05) * stretch)
    assert found.interval.high == pytest.approx(0.4 + (0.95 - 0.4) * stretch)
    np.testing.assert_allclose(found.widened_interval, 0.4 + (found.resamples - 0.4) * stretch)
    assert found.spread.variance == 1.0


def test_bounds_lie_on_their_own_side_of_the_estimate():
    found = distribution(np.linspace(1, 2, 1001), 0.5)  # all resamples above
    assert found.interval.low == 0.5
    assert found.interval.high > 0.5
    found = distribution(np.linspace(1, 2, 1001), 2.5)
    assert found.interval.low < 2.5
    assert found.interval.high == 2.5


def test_p_values_are_not_below_one_in_the_number_of_resamples():
    found = distribution(np.linspace(-1, 1, 2001), n=99)
    assert (found.p_above(-1e6), found.p_below(1e6)) == (0.01, 0.01)
    assert (found.p_above(1e6), found.p_below(-1e6)) == (1.0, 1.0)
    assert found.p_different(1e6) == found.p_different(-1e6) == 0.02
    assert found.p_different(0.0) == pytest.approx(1.0, abs=0.02)
    low = found.bounds(np.array([0.1]))[0]
    assert found.p_above(low) == pytest.approx(0.1, abs=0.002)
    assert found.p_below(low) == pytest.approx(0.9, abs=0.002)
    assert found.p_different(low) == pytest.approx(0.2, abs=0.004)


@pytest.mark.parametrize("value", [0.0, 0.01, -0.01])
def test_differences_that_do_not_vary_are_no_evidence_against_their_own_value(value):
    found = distribution(np.full(4000, value), value)
    assert found.p_different(value) == 1.0
    assert found.p_above(value) == found.p_below(value) > 0.99
    assert found.p_above(value - 0.1) == found.p_below(value + 0.1) == 1 / 4001


def test_resamples_are_scaled_about_the_estimate_to_the_unbiased_variance():
    spread = VarianceParts(((4.0, 2), (3.0, 5)), (1.0,))  # variance 3 + 2 + 1, resampled 4 + 3 + 1
    found = calibrated(1.0, np.array([0.0, 1.0, 3.0]), spread, Resampling())
    np.testing.assert_allclose(found.resamples, 1 + np.array([-1, 0, 2]) * sqrt(6 / 8))
    flat = calibrated(1.0, np.array([1.0, 2.0]), VarianceParts(((0.0, 2),)), Resampling())
    np.testing.assert_array_equal(flat.resamples, [1, 2])


@pytest.mark.parametrize("hole", [False, True])
def test_resampled_means_are_weighted_means_of_draws_of_one_fewer(hole):
    scores, subjects = np.array([[1.0, 2.0, 4.0], [3.0, 8.0, 16.0]]), np.array([0, 1, 1])
    if hole:
        scores[0, 2] = NAN
    resampling = Resampling(n_resamples=50, seed=7)
    seeds = np.random.default_rng([7, 0]).multinomial(1, [0.5, 0.5], size=50)
    drawn = np.random.default_rng([7, 1, 4]).multinomial(1, [0.5, 0.5], size=50)
    expected = []
    for by_seed, by_subject_ in zip(seeds, drawn, strict=True):
        row = scores[by_seed.argmax()]
        chosen = row[subjects == by_subject_.argmax()]
        expected.append(np.nanmean(chosen))
    np.testing.assert_allclose(draw_means(scores, subjects, resampling, 4), expected)


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        (DICE, -0.02, 0.0, "inconclusive"),
        (DICE, -0.05, -0.02, "inconclusive"),
        (HD95, 0.0, 0.02, "inconclusive"),
        (HD95, -0.5, 0.019, "non-inferior"),
        (HD95, 0.021, 0.5, "inferior"),
    ],
)
def test_an_interval_that_touches_the_margin_decides_nothing(metric, low, high, expected):
    assert verdict(metric, 0.02, Interval(low, high)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.02, 0.01, "inconclusive"),
        (-0.01, 0.02, "inconclusive"),
        (-0.019, 0.019, "equivalent"),
        (-0.05, -0.02, "inconclusive"),
        (0.02, 0.05, "inconclusive"),
        (0.021, 0.05, "not equivalent"),
        (-0.05, -0.021, "not equivalent"),
    ],
)
def test_equivalence_needs_both_ends_inside(low, high, expected):
    assert equivalence(DICE, 0.02, Interval(low, high)) == expected


def test_p_of_the_margin_is_on_the_side_of_the_loss():
    found = distribution(np.linspace(-0.9, 1.1, 2001), 0.1)
    assert p_non_inferior(DICE, 0.3, found) == found.p_above(-0.3)
    assert p_non_inferior(HD95, 0.3, found) == found.p_below(0.3)
    assert p_equivalent(DICE, 0.3, found) == found.p_below(0.3) > found.p_above(-0.3)
    for metric, margin, given in ((DICE, None, found), (VOLUME, 0.3, found), (DICE, 0.3, None)):
        assert p_non_inferior(metric, margin, given) is None
        assert p_equivalent(metric, margin, given) is None
    assert verdict(VOLUME, 0.3, None) == equivalence(VOLUME, 0.3, None) == "no margin"


def test_signed_ranks_are_exact_up_to_thirteen_and_words_stop_at_six():
    for n, words in ((5, True), (6, False), (13, False), (14, False)):
        moved = np.arange(1.0, n + 1) * np.where(np.arange(n) % 3, 1, -1)
        p, _, notes = signed_rank(moved)
        assert p == pytest.approx(stats.wilcoxon(moved).pvalue)
        assert bool(notes) is words
    assert signed_rank(np.array([1.0, -1.0]))[:2] == (1.0, 0.0)


def test_ranks_are_of_subjects_whose_cases_are_averaged():
    values = np.array([[1.0, 3.0, -1.0], [1.0, 5.0, -1.0]])  # means 1, 4 and -1; subject s: 2.5
    pairs = Pairs(0.5, ScoreMatrix(values, (0, 1), ("a", "b", "c"), ("s", "s", "t")), None, ())
    assert rank_pairs(pairs)[1] == pytest.approx((2 - 1) / 3)
    assert pairs.difference == pytest.approx(4 / 3)
    assert Pairs(0.5, None, None, ()).difference is None


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_monotone_curves_by_hand():
    losses = np.array([[1.0, 3.0, 2.0], [-1.0, -2.0, 6.0], [4.0, 1.0, 1.0]])
    np.testing.assert_allclose(fit_isotonic(losses), [[1, 2.5, 2.5], [0, 0, 6], [2, 2, 2]])
    at = cross(np.array([0.5, 1.0]), np.array([[1.0, 3.0], [2.0, 2.0], [0.5, 1.9], [0.0, 2.0]]), 2.0)
    np.testing.assert_allclose(at, [0.75, 0.5, inf, 1.0])


def test_the_mixed_model_by_hand():
    """The table of two seeds and three cases above, as differences."""
    values = np.array([[1.0, 2.0, 6.0, NAN], [3.0, 4.0, 14.0, 1.0]])
    pairs = Pairs(0.5, ScoreMatrix(values, (0, 1), tuple("abcd"), tuple("abcd")), None, ())
    row = Difference("test", "dice", 0.5, margin=0.02, verdict="inconclusive", group="g")
    found = mixed_check(row, pairs, DICE, 0.05)
    variance, total = 3 + 38 / 6, 4 + 38 / 6
    degrees = total**2 / (16 + (38 / 6) ** 2 / 2)
    half = stats.t.ppf(0.95, degrees) * sqrt(variance)
    assert (found.difference, found.low, found.high) == pytest.approx((5, 5 - half, 5 + half))
    assert (found.standard_error, found.degrees_of_freedom) == pytest.approx((sqrt(variance), degrees))
    assert (found.sd_seed, found.sd_case, found.sd_residual) == pytest.approx((sqrt(6), 4, sqrt(6)))
    assert (found.verdict, found.agrees, found.group) == ("inconclusive", True, "g")
    assert found.notes == ("1 case that lacks a seed is left out",)


def test_power_and_the_detectable_difference_are_those_of_the_noncentral_t():
    spread = VarianceParts(((0.0004, 9),))
    critical = stats.t.ppf(0.975, 9)
    assert power_of(0.05, spread, 0.025) == pytest.approx(stats.nct.sf(critical, 9, 0.05 / 0.02))
    assert power_of(2.0, spread, 0.025) == pytest.approx(1.0)  # a shift of 100
    found = detectable_difference(spread, 0.025)
    assert stats.nct.sf(critical, 9, found / 0.02) == pytest.approx(0.8, abs=1e-6)


PILOT = Pilot("noise p1", "test", 0.5, 3, 20, -0.01, Components(0.0001, 0.0016, 0.0004))


def test_a_planned_number_of_cases_is_the_fewest():
    question = Question(DICE, 0.02, power=0.8, loss=0.005)
    n = cases_needed(question, PILOT, 20)
    assert design_power(question, PILOT, 20, n) >= 0.8 > design_power(question, PILOT, 20, n - 1)
    assert design_power(question, PILOT, 20, n) == power_of(0.015, PILOT.components.spread(20, n), 0.025)
    assert cases_needed(Question(DICE, 0.9), PILOT, 2) == 6
    assert cases_needed(Question(DICE, 0.0001), PILOT, 2) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"margin": 0.0}, "--margin 0: expected a number above 0 and below 1, the largest difference"),
        ({"margin": inf}, "--margin inf: expected a number above 0 and below 1, the largest difference"),
        ({"power": 0.0}, "--power 0: expected a share between 0 and 1, e.g. 0.8"),
        ({"power": 1.0}, "--power 1: expected a share between 0 and 1, e.g. 0.8"),
        ({"loss": 0.02}, "--loss 0.02: a loss of the margin (0.02) or more cannot be shown to be less"),
    ],
)
def test_a_question_without_an_answer_is_refused(wrong, words):
    with pytest.raises(UserError) as refused:
        Question(**({"metric": DICE, "margin": 0.02} | wrong))
    assert str(refused.value) == words


def test_the_pilot_that_varies_most_for_three_seeds_and_forty_cases_is_chosen():
    calm = replace(PILOT, noise_ratio=0.2, components=Components(0.0, 0.0001, 0.0))
    by_case = replace(PILOT, noise_ratio=1.0, components=Components(0.0, 0.0039, 0.0))  # /40: 0.0000975
    by_seed = replace(PILOT, components=Components(0.0003, 0.0, 0.0))  # /3: 0.0001
    other = replace(PILOT, dataset="other", components=Components(1.0, 1.0, 1.0))
    pilots = [calm, by_case, by_seed, other]
    assert choose_pilot(pilots) is by_seed
    assert choose_pilot(pilots, "other") is other
    assert choose_pilot(pilots, noise_ratio=0.2) is calm
    with pytest.raises(UserError) as refused:
        choose_pilot(pilots, "test", 0.7)
    known = "test at 0.2, test at 1, test at 0.5, other at 0.5"
    assert str(refused.value) == f"pilot: nothing for test at noise ratio 0.7; there is {known}"
