"""The signed-rank test against scipy, Holm against statsmodels, and the treatment of ties and zeros."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mandseg.statistics.paired_tests import holm, signed_rank


@pytest.mark.parametrize("n_cases", [3, 8, 12, 20, 60])
@pytest.mark.parametrize("decimals", [1, 6], ids=["ties and zeros", "no ties"])
def test_signed_rank_agrees_with_scipy(n_cases, decimals):
    differences = np.round(np.random.default_rng(n_cases).normal(0.1, 0.3, n_cases), decimals)
    p, effect, _ = signed_rank(differences)
    moved = differences[differences != 0]
    assert p == pytest.approx(stats.wilcoxon(moved).pvalue)
    ranks = stats.rankdata(abs(moved))
    assert effect == pytest.approx((ranks[moved > 0].sum() - ranks[moved < 0].sum()) / ranks.sum())


def test_signed_rank_of_three_risen_cases_is_a_quarter_with_a_note():
    p, effect, words = signed_rank(np.array([0.1, 0.2, 0.3]))
    assert p == pytest.approx(2 * 0.5**3)
    assert effect == 1.0
    assert words == ("only 3 of the cases differ: p cannot fall below 0.25",)


def test_rank_biserial_by_hand():
    assert signed_rank(np.array([1.0, -2.0, 3.0]))[1] == pytest.approx((1 - 2 + 3) / 6)


def test_all_zero_differences_are_reported_in_words():
    assert signed_rank(np.zeros(5)) == (1.0, 0.0, ("all differences are zero",))


def test_rounding_noise_makes_no_tie_a_difference():
    assert signed_rank(np.array([0.3 - 0.1 - 0.2, 0.0])) == (1.0, 0.0, ("all differences are zero",))


@pytest.mark.parametrize("n_ratios", [1, 2, 3, 9])
def test_holm_agrees_with_statsmodels(n_ratios):
    p_values = list(np.round(np.random.default_rng(n_ratios).uniform(0, 0.2, n_ratios), 2))
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_signed_rank_has_about_its_nominal_error():
    rng = np.random.default_rng(8)
    trials = 2000
    for n_cases in (8, 30):
        wrong = sum(signed_rank(rng.normal(0, 0.02, n_cases))[0] <= 0.05 for _ in range(trials))
        assert wrong / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
