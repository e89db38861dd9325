"""Variance components and power against statsmodels, and contrasts between data sets by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.power import TTestPower

from crossed_tables import crossed_table
from mandseg.metrics.catalogue import metric_named
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.dataset_contrasts import contrast
from mandseg.statistics.mixed_model import mixed_check
from mandseg.statistics.paired_tests import Pairs
from mandseg.statistics.power import detectable_difference, power_of
from mandseg.statistics.results import Contrast, Difference
from mandseg.statistics.score_table import ScoreMatrix
from mandseg.statistics.variance import Components, VarianceParts, mean_squares

DICE = metric_named("dice")
ROW = Difference("test", "dice", 0.5, margin=0.02, verdict="non-inferior")


def scores(values: np.ndarray, prefix: str = "c", seeds: tuple[int, ...] | None = None) -> ScoreMatrix:
    names = tuple(f"{prefix}{k:03d}" for k in range(values.shape[1]))
    return ScoreMatrix(values, seeds or tuple(range(len(values))), names, names)


def reml(values: np.ndarray) -> tuple[float, float, float, float, float]:
    """Mean, its standard error, and the three variances by statsmodels, case and seed crossed."""
    seed, case = np.indices(values.shape)
    table = pd.DataFrame({"y": values.ravel(), "seed": seed.ravel(), "case": case.ravel(), "all": 1})
    parts = {"seed": "0 + C(seed)", "case": "0 + C(case)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = sm.MixedLM.from_formula("y ~ 1", groups="all", vc_formula=parts, data=table).fit(reml=True)
    by_name = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True))
    return fit.params["Intercept"], fit.bse["Intercept"], by_name["seed"], by_name["case"], fit.scale


@pytest.mark.parametrize("sizes", [(4, 12), (6, 15)])
def test_moments_agree_with_reml_of_statsmodels_on_a_whole_table(sizes):
    values = crossed_table(np.random.default_rng(3), *sizes, 0.5, 1.0, 0.5)
    squares = mean_squares(values, np.arange(sizes[1]))
    mean, error, seed, case, rest = reml(values)
    assert mean == pytest.approx(values.mean())
    parts = squares.components
    assert (parts.seed, parts.case, parts.rest) == pytest.approx((seed, case, rest), rel=0.02)
    assert squares.spread.variance**0.5 == pytest.approx(error, rel=0.01)


def test_mixed_check_gives_the_mean_and_whether_it_agrees():
    values = -0.001 + crossed_table(np.random.default_rng(4), 3, 30, 0.001, 0.005, 0.003)
    check = mixed_check(ROW, Pairs(0.5, scores(values), None, ()), DICE, 0.025)
    assert check.difference == pytest.approx(values.mean())
    assert (check.verdict, check.agrees) == ("non-inferior", True)
    worse = mixed_check(ROW, Pairs(0.5, scores(values - 0.1), None, ()), DICE, 0.025)
    assert (worse.verdict, worse.agrees) == ("inferior", False)


def test_mixed_check_leaves_cases_out_that_lack_a_seed_and_reports_it():
    values = crossed_table(np.random.default_rng(5), 3, 30, 0.001, 0.005, 0.003)
    values[1, 4] = np.nan
    check = mixed_check(ROW, Pairs(0.5, scores(values), None, ()), DICE, 0.025)
    assert check.difference == pytest.approx(np.delete(values, 4, axis=1).mean())
    assert check.notes == ("1 case that lacks a seed is left out",)


@pytest.mark.parametrize("shape", [(1, 20), (3, 1)], ids=["one seed", "one case"])
def test_mixed_check_needs_two_of_each(shape):
    check = mixed_check(ROW, Pairs(0.5, scores(np.zeros(shape)), None, ()), DICE, 0.025)
    assert check.difference is None
    assert check.notes == ("needs two seeds and two subjects that were scored at both levels",)


def test_equal_scores_have_no_variance_and_no_nan():
    squares = mean_squares(np.full((3, 5), 0.9), np.arange(5))
    assert squares.spread.variance == 0
    assert detectable_difference(squares.spread, 0.025) == 0
    assert power_of(0.01, squares.spread, 0.025) == 1


@pytest.mark.parametrize("n_cases", [4, 20, 200])
def test_power_of_one_level_is_that_of_the_t_test(n_cases):
    deviation = 0.03
    spread = VarianceParts(((deviation**2 / n_cases, n_cases - 1),))
    for difference in (0.005, 0.01, 0.03):
        expected = TTestPower().power(difference / deviation, n_cases, 0.025, alternative="larger")
        assert power_of(difference, spread, 0.025) == pytest.approx(expected, abs=1e-6)
    effect = TTestPower().solve_power(None, n_cases, 0.025, 0.8, alternative="larger")
    assert detectable_difference(spread, 0.025, 0.8) == pytest.approx(effect * deviation, rel=1e-3)


def test_a_design_of_the_pilots_size_is_expected_to_show_the_pilots_variance():
    parts = mean_squares(crossed_table(np.random.default_rng(6), 5, 50, 1.0, 1.0, 1.0), np.arange(50))
    planned = parts.components.spread(5, 50)
    assert planned.variance == pytest.approx(parts.spread.variance)
    assert Components(1.0, 4.0, 9.0).spread(3, 6).variance == pytest.approx(1 / 3 + 4 / 6 + 9 / 18)


def test_contrast_cancels_what_a_seed_does_to_both_data_sets():
    rng = np.random.default_rng(7)
    seed_effect = rng.normal(0, 0.5, (4, 1))
    home, away = (level + seed_effect + crossed_table(rng, 4, 30, 0, 0.1, 0.01) for level in (0.9, 0.8))
    found = contrast(
        Contrast("b", "a", "dice", 0.0), scores(away, "b"), scores(home, "a"), (1, 0), Resampling(n_resamples=1000)
    )
    assert found.value == pytest.approx(away.mean() - home.mean())
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 2.0 * np.hypot(0.1, 0.1) / np.sqrt(30), rel=0.3)
    assert (found.n_cases, found.n_reference_cases, found.n_seeds) == (30, 30, 4)
    assert found.p is not None
    assert found.p < 0.01


def test_contrast_without_a_common_seed_is_reported():
    row = Contrast("b", "a", "dice", 0.0)
    found = contrast(
        row, scores(np.ones((1, 3)), seeds=(0,)), scores(np.ones((1, 3)), seeds=(1,)), (1, 0), Resampling()
    )
    assert (found.value, found.notes) == (None, ("no seed was tested on both data sets",))


def test_contrast_of_one_seed_states_what_its_interval_lacks():
    rng = np.random.default_rng(8)
    found = contrast(
        Contrast("b", "a", "dice", 0.0),
        scores(rng.normal(0, 1, (1, 50)), "b"),
        scores(rng.normal(0, 1, (1, 50)), "a"),
        (1, 0),
        Resampling(),
    )
    assert found.notes == ("one seed: the interval does not cover the variation between trainings",)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 2.0 * np.sqrt(2 / 50), rel=0.25)
