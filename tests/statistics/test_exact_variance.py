"""Variances of crossed tables and shrunken means of annotators: by hand or in closed form."""

import numpy as np
import pytest
from scipy import stats

from mandseg.statistics.annotator_effect import (
    CASE_SHARES,
    LARGEST_SUM,
    REGION_SHARES,
    Effect,
    annotator_effects,
    region_effects,
)
from mandseg.statistics.variance import Components, MeanSquares, VarianceParts, by_subject, case_means, mean_squares

NAN = np.nan


def test_a_table_of_two_seeds_and_three_cases_by_hand():
    """Rows 1 2 6 and 3 4 14: means 3 and 7, 2 3 10, of all 5; residuals 1 1 -2 and their opposites."""
    found = mean_squares(np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 14.0]]), np.arange(3))
    assert (found.n_seeds, found.n_subjects) == (2, 3)
    assert found.seeds == pytest.approx(3 * (4 + 4) / 1)
    assert found.subjects == pytest.approx(2 * (9 + 4 + 25) / 2)
    assert found.rest == pytest.approx(2 * (1 + 1 + 4) / 2)
    assert found.components == Components(pytest.approx((24 - 6) / 3), pytest.approx((38 - 6) / 2), pytest.approx(6))
    spread = found.spread
    assert spread.parts == ((pytest.approx(24 / 6), 1), (pytest.approx(38 / 6), 2))
    assert spread.rest == (pytest.approx(1.0),)
    assert spread.variance == pytest.approx((4 - 1) + (38 / 6 - 1) + 1)
    assert spread.resampled == pytest.approx(4 + 38 / 6 + 1)
    total = 4 + 38 / 6
    assert spread.degrees_of_freedom == pytest.approx(total**2 / (4**2 / 1 + (38 / 6) ** 2 / 2))
    expected = (4 * stats.t.ppf(0.9, 1) + 38 / 6 * stats.t.ppf(0.9, 2)) / total
    assert spread.quantile(0.9) == pytest.approx(expected)


def test_a_hole_costs_a_degree_of_freedom_and_one_is_always_left():
    """Rows 1 3 and 2 -: the hole takes what its row and column predict, so no residual is left beside its own."""
    table = np.array([[1.0, 3.0, 5.0], [2.0, NAN, 9.0], [0.0, 2.0, 1.0]])
    present = np.isfinite(table)
    cases, seeds = np.array([1.0, 2.5, 5.0]), np.array([3.0, 5.5, 1.0])
    residual = np.where(present, table - seeds[:, None] - cases + cases.mean(), 0)
    assert mean_squares(table, np.arange(3)).rest == pytest.approx((residual**2).sum() / (2 * 2 - 1))
    two = mean_squares(np.array([[1.0, 3.0], [2.0, NAN]]), np.arange(2))
    assert two.rest == pytest.approx((1 - 2 - 1.5 + 2.25) ** 2 + (3 - 2 - 3 + 2.25) ** 2 + (2 - 2 - 1.5 + 2.25) ** 2)


def test_components_below_zero_count_as_zero():
    parts = MeanSquares(2, 3, seeds=1.0, subjects=2.0, rest=4.0).components
    assert (parts.seed, parts.case, parts.rest) == (0, 0, 4)
    spread = VarianceParts(((0.5, 2), (3.0, 4), (0.25, 5)), (1.0, 0.75))
    assert spread.variance == pytest.approx(0 + (3 - 1) + 0 + 1.75)
    assert VarianceParts(((2.0, 2), (3.0, 4), (0.25, 5)), (1.0, 0.75)).variance == pytest.approx(0.25 + 2 + 0 + 1.75)
    one = VarianceParts(((2.0, 3), (1.0, 4)))
    assert (one.variance, one.resampled) == (3, 3)


def test_without_variance_quantiles_are_normal_and_the_degrees_of_freedom_are_the_most():
    flat = VarianceParts(((0.0, 3), (0.0, 7)))
    assert flat.quantile(0.975) == pytest.approx(stats.norm.ppf(0.975))
    assert flat.degrees_of_freedom == 7


def test_a_design_has_the_variance_of_its_components():
    found = Components(6.0, 4.0, 3.0).spread(2, 5)
    assert found.parts == ((pytest.approx(3.0 + 0.3), 1), (pytest.approx(0.8 + 0.3), 4))
    assert found.rest == (pytest.approx(0.3),)


def test_means_of_cases_and_subjects_leave_holes_out():
    table = np.array([[1.0, 2.0, NAN, 4.0], [3.0, NAN, NAN, 8.0]])
    np.testing.assert_array_equal(case_means(table), [2, 2, NAN, 6])
    np.testing.assert_array_equal(by_subject(table, np.array([0, 0, 1, 2])), [[1.5, NAN, 4], [3, NAN, 8]])
    assert by_subject(table, np.arange(4)) is table


def shrunken(values, share, new):
    """The closed form for m annotators of k values each: weight, mean, variance and error of the model at a share."""
    m, k = values.shape
    between = 1 - share + k * share  # the eigenvalue of an annotator's mean
    own = values.mean(axis=1)
    squares = ((values - own[:, None]) ** 2).sum() / (1 - share) + k * ((own - own.mean()) ** 2).sum() / between
    n = m * k - 1
    variance = squares / n
    log = -0.5 * (n * np.log(variance) + m * (k - 1) * np.log(1 - share) + m * np.log(between) - np.log(between))
    pull = 0.0 if new else k * share / between
    means = own.mean() + pull * (own - own.mean())
    error = variance * (share - share * pull + (1 - pull) ** 2 * between / (m * k))
    return log, means, error


@pytest.mark.parametrize("new", [False, True])
def test_shrunken_means_are_those_of_the_closed_form_for_equal_numbers(new):
    values = np.array([[0.1, 0.3], [0.9, 1.4], [-0.4, 0.2], [0.5, 0.6]])
    fits = [shrunken(values, share, new) for share in np.linspace(0.025, 0.975, 20)]
    weights = np.exp([log for log, _, _ in fits])
    weights /= weights.sum()
    means = np.array([mean for _, mean, _ in fits])
    mean = weights @ means
    error = np.sqrt(weights @ (np.array([error for _, _, error in fits])[:, None] + (means - mean) ** 2))
    reach = stats.t.ppf(0.95, 7)
    by_name = {name: row.tolist() for name, row in zip("dabc", values, strict=True)}
    found = annotator_effects(by_name | {"none": []}, ["none"] if new else by_name, confidence=0.9)
    for k, name in enumerate(["none"] if new else "dabc"):
        expected = Effect(mean[k], mean[k] - reach * error[k], mean[k] + reach * error[k], 0 if new else 2)
        assert vars(found[name]) == pytest.approx(vars(expected))


@pytest.mark.parametrize(("low", "high", "excludes"), [(0.1, 2, True), (-2, -0.1, True), (0, 1, False), (-1, 0, False)])
def test_an_interval_that_ends_at_zero_does_not_exclude_it(low, high, excludes):
    assert Effect(0.0, low, high, 1).excludes_zero is excludes


def test_equal_values_have_an_interval_of_no_width():
    found = annotator_effects({"a": [1.0, 1.0], "b": [1.0]}, ["a"])["a"]
    assert (found.mean, found.n) == (pytest.approx(1.0), 2)
    assert 0 < found.high - found.low < 1e-4


def dense(y, of, annotators, shares):
    """The model of all regions, from the full covariance of all values: log likelihood, means and variances."""
    annotator, in_region, case = shares
    cases, regions = np.nonzero(~np.isnan(y))
    z, who = y[cases, regions], of[cases]
    same, there = who[:, None] == who, regions[:, None] == regions
    covariance = annotator * same + in_region * (same & there) + case * (cases[:, None] == cases)
    np.fill_diagonal(covariance, 1.0)
    inverse, design = np.linalg.inv(covariance), np.eye(y.shape[1])[regions]
    of_mean = np.linalg.inv(design.T @ inverse @ design)
    mean = of_mean @ design.T @ inverse @ z
    residuals = z - design @ mean
    freedom = len(z) - y.shape[1]
    variance = residuals @ inverse @ residuals / freedom
    log = -0.5 * (freedom * np.log(variance) + np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(of_mean)[1])
    means, variances = np.zeros((annotators, y.shape[1])), np.zeros((annotators, y.shape[1]))
    for a, r in np.ndindex(means.shape):
        own = (who == a) * (annotator + in_region * (regions == r))
        rest = np.eye(y.shape[1])[r] - design.T @ inverse @ own
        means[a, r] = mean[r] + own @ inverse @ residuals
        variances[a, r] = variance * (annotator + in_region - own @ inverse @ own + rest @ of_mean @ rest)
    return log, means, variances


def test_the_effects_by_region_are_those_of_the_full_covariance_also_with_missing_regions():
    rng = np.random.default_rng(5)
    of = np.repeat([0, 1, 2], [3, 2, 4])
    y = rng.standard_normal((9, 3)) * [0.5, 1.0, 2.0] + rng.standard_normal((3, 1))[of]
    y[[0, 4, 7], [1, 2, 0]] = np.nan
    centred = np.array([y[k] - np.nanmean(y[of == of[k]], 0) for k in range(9)])
    scale = np.sqrt(np.nansum(centred**2, 0) / ((~np.isnan(y)).sum(0) - 3))
    triples = [(a, r, c) for a in REGION_SHARES for r in REGION_SHARES for c in CASE_SHARES if a + r + c < LARGEST_SUM]
    fits = [dense(y / scale, of, 4, triple) for triple in triples]
    weights = np.exp(np.array([log for log, _, _ in fits]) - max(log for log, _, _ in fits))
    weights /= weights.sum()
    all_means = np.array([means for _, means, _ in fits])
    mean = np.tensordot(weights, all_means, 1)
    error = np.sqrt(np.tensordot(weights, np.array([v for _, _, v in fits]) + (all_means - mean) ** 2, 1))
    reach = stats.t.ppf(0.975, 8)
    found = region_effects({name: y[of == k] for k, name in enumerate("abc")}, "abcd")
    for k, name in enumerate("abcd"):
        for r in range(3):
            ends = [mean[k, r], mean[k, r] - reach * error[k, r], mean[k, r] + reach * error[k, r]]
            expected = Effect(*np.multiply(ends, scale[r]), n=int((~np.isnan(y[of == k, r])).sum()))
            assert vars(found[name][r]) == pytest.approx(vars(expected))
