"""Intervals and p-values of crossed tables: by hand, against the t distribution, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from crossed_tables import crossed_table
from mandseg.statistics.bootstrap import Distribution, Interval, Resampling, resampled_mean
from mandseg.statistics.variance import mean_over_cases, mean_squares

QUICK = Resampling(n_resamples=400)


def distribution(
    scores: np.ndarray, resampling: Resampling = QUICK, subjects: np.ndarray | None = None
) -> Distribution:
    found = resampled_mean(scores, np.arange(scores.shape[1]) if subjects is None else subjects, resampling)
    assert found is not None
    return found


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_mean_counts_every_case_once_however_many_seeds_it_has():
    scores = np.array([[0.8, 0.6], [1.0, np.nan]])  # case means 0.9 and 0.6
    assert mean_over_cases(scores) == pytest.approx(0.75)


def test_interval_of_one_seed_is_the_t_interval_of_its_cases():
    scores = np.random.default_rng(1).normal(0.8, 0.1, (1, 200))
    interval = distribution(scores, Resampling(8_000)).interval
    low, high = stats.t.interval(0.95, 199, scores.mean(), stats.sem(scores[0]))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.001)


def test_p_values_of_one_seed_are_those_of_the_t_test():
    scores = np.random.default_rng(2).normal(0.01, 0.1, (1, 60))
    found = distribution(scores, Resampling(20_000))
    for value in (-0.01, 0.0, 0.02, 0.04):
        t_test = stats.ttest_1samp(scores[0], value, alternative="less")
        assert found.p_below(value) == pytest.approx(t_test.pvalue, abs=0.01)
        assert found.p_above(value) == pytest.approx(1 - t_test.pvalue, abs=0.01)


def test_p_value_is_below_the_error_exactly_where_the_interval_excludes_the_value():
    rng = np.random.default_rng(3)
    for _ in range(30):
        found = distribution(crossed_table(rng, 3, 12, 0.3, 1.0, 0.7))
        for value in rng.normal(0, 1, 10):
            assert (found.p_below(value) < 0.025) == (found.interval.high < value)
            assert (found.p_above(value) < 0.025) == (found.interval.low > value)


def test_variance_of_the_resamples_is_the_unbiased_one_of_the_crossed_design():
    rng = np.random.default_rng(4)
    n_seeds, n_cases, seed, case, rest = 6, 25, 0.4, 1.0, 1.5
    tables = [crossed_table(rng, n_seeds, n_cases, seed, case, rest) for _ in range(600)]
    found = [distribution(table, Resampling(200)) for table in tables]
    truth = seed**2 / n_seeds + case**2 / n_cases + rest**2 / (n_seeds * n_cases)
    assert np.var([table.mean() for table in tables]) == pytest.approx(truth, rel=0.2)
    assert np.mean([one.resamples.var() for one in found]) == pytest.approx(truth, rel=0.1)
    assert np.mean([one.spread.variance for one in found]) == pytest.approx(truth, rel=0.1)


def test_single_pairs_are_not_counted_three_times():
    scores = crossed_table(np.random.default_rng(5), 5, 40, 0.0, 0.0, 1.0)
    spread = mean_squares(scores, np.arange(40)).spread
    found = distribution(scores, Resampling(4000))
    assert found.resamples.std() == pytest.approx(spread.variance**0.5, rel=0.05)
    assert spread.resampled > 2 * spread.variance


def test_interval_of_equal_seed_effects_widens_with_the_spread_between_seeds():
    cases = np.linspace(0.7, 0.9, 40)
    calm, wild = (cases + spread * np.array([[-1.0], [0.0], [1.0]]) for spread in (0.001, 0.05))
    assert width(distribution(wild).interval) > 5 * width(distribution(calm).interval)


def test_t_quantile_is_that_of_the_level_that_varies():
    rng = np.random.default_rng(6)
    seeds, cases = rng.normal(0, 1, (3, 1)), rng.normal(0, 1, (1, 50))
    by_seed, by_case = (mean_squares(t, np.arange(50)).spread for t in (seeds + 0 * cases, cases + 0 * seeds))
    assert by_seed.quantile(0.975) == pytest.approx(stats.t.ppf(0.975, 2))
    assert by_case.quantile(0.975) == pytest.approx(stats.t.ppf(0.975, 49))
    assert (by_seed.degrees_of_freedom, by_case.degrees_of_freedom) == pytest.approx((2, 49))


def test_cases_of_one_subject_are_drawn_together():
    scores = np.repeat(np.random.default_rng(3).normal(0, 1, (1, 20)), 2, axis=1)  # every subject has two equal scans
    apart = distribution(scores, Resampling(4000)).interval
    together = distribution(scores, Resampling(4000), np.arange(40) // 2).interval
    assert width(together) / width(apart) == pytest.approx(np.sqrt(2), rel=0.1)


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    scores = np.random.default_rng(4).normal(0, 1, (3, 12))
    first, again, other = (distribution(scores, Resampling(300, seed=seed)).interval for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_hole_is_left_out_of_the_resamples_as_it_is_of_the_mean():
    scores = crossed_table(np.random.default_rng(8), 3, 30, 0.2, 1.0, 0.5)
    holed = scores.copy()
    holed[0, 0] = np.nan
    whole, with_hole = distribution(scores, Resampling(2000)), distribution(holed, Resampling(2000))
    assert with_hole.estimate == pytest.approx(mean_over_cases(holed))
    assert width(with_hole.interval) == pytest.approx(width(whole.interval), rel=0.15)


@pytest.mark.parametrize("n_subjects", [1, 2])
def test_one_subject_has_no_interval_and_two_have(n_subjects):
    found = resampled_mean(np.ones((2, 2)), np.arange(2) % n_subjects, QUICK)
    assert (found is None) == (n_subjects == 1)


@pytest.mark.parametrize(
    ("seed_spread", "case_spread", "n_seeds", "n_cases"),
    [(0.0, 1.0, 3, 20), (1.0, 0.3, 3, 20), (0.3, 1.0, 5, 20), (0.0, 0.0, 4, 20), (0.3, 1.0, 1, 20)],
    ids=["cases vary", "seeds vary", "both vary", "only pairs vary", "one seed, judged for itself"],
)
def test_interval_has_about_its_nominal_coverage(seed_spread, case_spread, n_seeds, n_cases):
    rng = np.random.default_rng(7)
    trials, hits = 300, 0
    for trial in range(trials):
        seeds = rng.normal(0, seed_spread, (n_seeds, 1))
        scores = seeds + crossed_table(rng, n_seeds, n_cases, 0.0, case_spread, 0.3)
        truth = seeds.mean() if n_seeds == 1 else 0.0
        interval = distribution(scores, Resampling(200, seed=trial % 4)).interval
        hits += interval.low <= truth <= interval.high
    assert 0.91 <= hits / trials <= 0.997  # 95 % - 3 standard errors of 300 trials; too wide where only pairs vary
