"""Verdicts, tolerated ratio and crossing: by hand, against scipy, and how often they are wrong."""

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from crossed_tables import crossed_table
from mandseg.metrics.catalogue import metric_named
from mandseg.statistics.bootstrap import Interval, Resampling
from mandseg.statistics.comparison import RATIO_COMPARISON
from mandseg.statistics.dose_response import cross, fit_isotonic, margin_crossing
from mandseg.statistics.non_inferiority import equivalence, p_equivalent, p_non_inferior, verdict
from mandseg.statistics.paired_tests import Pairs, pair
from mandseg.statistics.results import Difference
from mandseg.statistics.score_table import ScoreMatrix
from mandseg.statistics.tolerated_ratio import cumulative_crossing, tolerated_ratio

DICE, HD95 = metric_named("dice"), metric_named("hd95_mm")
QUICK = Resampling(n_resamples=400)


def scores(values: np.ndarray) -> ScoreMatrix:
    names = tuple(f"c{k}" for k in range(values.shape[1]))
    return ScoreMatrix(values, tuple(range(len(values))), names, names)


def study(losses: dict[float, float], n_seeds: int = 3, n_cases: int = 20, spread: float = 0.005) -> list[Pairs]:
    rng = np.random.default_rng(1)
    clean = 0.9 + crossed_table(rng, n_seeds, n_cases, 0.0, 0.03, 0.0)
    return [
        pair(
            ratio, scores(clean - loss + rng.normal(0, spread, clean.shape)), scores(clean), RATIO_COMPARISON, QUICK, 0
        )
        for ratio, loss in losses.items()
    ]


def rows_of(pairs: list[Pairs], margin: float = 0.02) -> list[Difference]:
    return [
        Difference("test", "dice", p.level, verdict=verdict(DICE, margin, p.distribution and p.distribution.interval))
        for p in pairs
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected", "both"),
    [
        (-0.019, 0.005, "non-inferior", "equivalent"),
        (-0.019, 0.030, "non-inferior", "inconclusive"),
        (-0.050, -0.021, "inferior", "not equivalent"),
        (0.021, 0.050, "non-inferior", "not equivalent"),
        (-0.030, -0.010, "inconclusive", "inconclusive"),
        (-0.020, 0.000, "inconclusive", "inconclusive"),
    ],
)
def test_verdict_follows_from_where_the_interval_lies(low, high, expected, both):
    interval = Interval(low, high)
    assert (verdict(DICE, 0.02, interval), equivalence(DICE, 0.02, interval)) == (expected, both)


def test_worse_is_upwards_for_distances():
    assert verdict(HD95, 1.0, Interval(1.1, 2.0)) == "inferior"
    assert verdict(HD95, 1.0, Interval(-3.0, 0.9)) == "non-inferior"


def test_p_values_go_with_the_verdicts():
    rng = np.random.default_rng(2)
    for _ in range(40):
        values = crossed_table(rng, 4, 15, 0.005, 0.02, 0.01) + rng.uniform(-0.04, 0.02)
        found = scores(values).distribution(QUICK, 0)
        assert found is not None
        conclusion, both = verdict(DICE, 0.02, found.interval), equivalence(DICE, 0.02, found.interval)
        p, tost = p_non_inferior(DICE, 0.02, found), p_equivalent(DICE, 0.02, found)
        assert p is not None
        assert tost is not None
        assert (p < 0.025) == (conclusion == "non-inferior")
        assert (tost < 0.025) == (both == "equivalent")
        assert tost >= p


def test_without_a_margin_or_an_interval_nothing_is_claimed():
    assert verdict(DICE, None, Interval(0, 0)) == "no margin"
    assert verdict(metric_named("volume_error_ml"), 1.0, Interval(0, 0)) == "no margin"
    assert (verdict(DICE, 0.02, None), equivalence(DICE, 0.02, None)) == ("inconclusive", "inconclusive")
    assert p_non_inferior(DICE, 0.02, None) is None


def test_walk_stops_at_the_first_loss_that_is_not_below_the_margin():
    losses = np.array([[0.0, 0.01, 0.03], [0.03, 0.0, 0.0], [0.0, 0.0, 0.0], [0.02, 0.0, 0.0]])
    assert cumulative_crossing(losses, 0.02).tolist() == [2, 0, 3, 0]


def test_tolerated_ratio_has_an_interval_and_shares_of_resamples():
    pairs = study({0.2: 0.0, 0.5: 0.019, 1.0: 0.08}, spread=0.01)
    tolerance = tolerated_ratio(rows_of(pairs), pairs, DICE, 0.02, 0.025)
    assert (tolerance.tolerated, tolerance.stopped_at, tolerance.estimate) == (0.2, 0.5, 0.5)
    assert (tolerance.low, tolerance.high) == (0.2, 0.5)
    shares = dict(tolerance.shares)
    assert shares[0.2] == 1.0
    assert 0.5 < shares[0.5] < 0.975
    assert shares[1.0] == 0.0


def test_tolerated_ratio_of_zero_means_that_not_even_the_smallest_is():
    pairs = study({0.2: 0.1, 0.5: 0.0})
    tolerance = tolerated_ratio(rows_of(pairs), pairs, DICE, 0.02, 0.025)
    assert (tolerance.tolerated, tolerance.estimate, tolerance.low, tolerance.high) == (None, 0.0, 0.0, 0.0)


def test_ratios_beyond_one_that_cannot_be_compared_are_left_out_and_reported():
    pairs = study({0.2: 0.0, 0.5: 0.0})
    alone = Pairs(0.3, None, None, ("no seed was run at both ratios",))
    broken = [pairs[0], alone, pairs[1]]
    rows = [rows_of([pairs[0]])[0], Difference("test", "dice", 0.3), rows_of([pairs[1]])[0]]
    tolerance = tolerated_ratio(rows, broken, DICE, 0.02, 0.025)
    assert (tolerance.tolerated, tolerance.stopped_at, tolerance.high) == (0.2, 0.3, 0.2)
    assert tolerance.notes == ("ratios above 0.2 cannot be compared and are left out of the interval",)
    crossing = margin_crossing(broken, DICE, 0.02, 0.025, ("test", ""))
    assert crossing is not None
    assert crossing.words == "beyond 0.2 (the whole interval)"


@pytest.mark.parametrize("n_ratios", [1, 2, 4, 9])
def test_isotonic_fit_is_scipys_cut_at_zero(n_ratios):
    losses = np.random.default_rng(n_ratios).normal(0.2, 1, (50, n_ratios))
    for curve, fitted in zip(losses, fit_isotonic(losses), strict=True):
        assert fitted == pytest.approx(np.maximum(isotonic_regression(curve).x, 0))


def test_crossing_lies_on_the_straight_line_between_two_ratios():
    ratios = np.array([0.2, 0.5, 1.0])
    curves = np.array([[0.0, 0.01, 0.03], [0.04, 0.05, 0.06], [0.0, 0.0, 0.01], [0.0, 0.02, 0.02], [0.0, 0.0, 0.02]])
    assert cross(ratios, curves, 0.02) == pytest.approx([0.75, 0.1, np.inf, 0.5, 1.0])


def test_crossing_that_is_not_reached_is_open_ended_in_words():
    pairs = study({0.2: 0.0, 0.5: 0.004, 1.0: 0.013}, spread=0.02)
    crossing = margin_crossing(pairs, DICE, 0.02, 0.025, ("test", ""))
    assert crossing is not None
    assert crossing.crossing is None
    assert crossing.low is not None
    assert crossing.high is None
    assert crossing.words == f"beyond 1 ({crossing.low:.2f} to beyond 1)"


def test_crossing_of_a_known_curve():
    pairs = study({0.2: 0.004, 0.5: 0.01, 1.0: 0.05}, n_cases=60)
    crossing = margin_crossing(pairs, DICE, 0.02, 0.025, ("test", ""))
    assert crossing is not None
    assert crossing.crossing == pytest.approx(0.5 + 0.5 * 0.01 / 0.04, abs=0.02)
    assert crossing.low is not None
    assert crossing.high is not None
    assert crossing.low < 0.625 < crossing.high
    assert [point.level for point in crossing.curve] == [0.2, 0.5, 1.0]
    assert [point.difference for point in crossing.curve] == pytest.approx([-0.004, -0.01, -0.05], abs=0.002)


def test_one_subject_gives_a_crossing_without_an_interval():
    pairs = study({0.5: 0.01, 1.0: 0.05}, n_cases=1)
    crossing = margin_crossing(pairs, DICE, 0.02, 0.025, ("test", ""))
    assert crossing is not None
    assert crossing.words.endswith("(no interval)")


def test_the_band_of_the_curve_lies_around_it_at_every_ratio():
    """Losses of 0.01, 0.03 and 0.06 that vary by 0.005 between 60 predictions: the band is a few thousandths wide."""
    found = margin_crossing(study({0.2: 0.01, 0.5: 0.03, 1.0: 0.06}), DICE, 0.02, 0.025, ("test", ""))
    assert found is not None
    assert [point.level for point in found.curve] == [0.2, 0.5, 1.0]
    for point, loss in zip(found.curve, (0.01, 0.03, 0.06), strict=True):
        assert point.low is not None
        assert point.high is not None
        assert point.low < point.difference < point.high
        assert -loss - 0.006 < point.low
        assert point.high < -loss + 0.006
