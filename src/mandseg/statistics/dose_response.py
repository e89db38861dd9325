"""The loss as a non-decreasing (isotonic) function of the noise ratio, and the ratio at which it crosses the margin.

The fit is isotonic and not logistic: it assumes no shape and needs no starting values, and three to five ratios do not
determine the four parameters of a logistic curve.
"""

from collections.abc import Sequence

import numpy as np

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.paired_tests import Pairs
from mandseg.statistics.results import Crossing, CurvePoint
from mandseg.statistics.tolerated_ratio import seeds_differ, stretched_losses, usable_pairs
from mandseg.statistics.variance import Floats


def fit_isotonic(losses: Floats) -> Floats:
    """Least-squares fit of non-decreasing curves that start at 0, many curves at once. (B, R) -> (B, R).

    The min-max formula (Barlow 1972): the value at k is the maximum over starts i <= k of the minimum over ends j >= k
    of the mean of losses i to j. The fit that is bounded below by 0 is the unbounded fit, cut at 0.
    """
    n = losses.shape[1]
    sums = np.concatenate([np.zeros((len(losses), 1)), np.cumsum(losses, axis=1)], axis=1)
    start, end = np.arange(n)[:, None], np.arange(n)[None, :]
    means = (sums[:, end + 1] - sums[:, start]) / np.maximum(end - start + 1, 1)  # (B, R, R) mean of start to end
    means = np.where(start <= end, means, np.inf)
    from_here = np.minimum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]  # smallest over all ends at or after
    fits = np.maximum.accumulate(np.where(start <= end, from_here, -np.inf), axis=1)
    bounded: Floats = np.maximum(np.diagonal(fits, axis1=1, axis2=2), 0.0)
    return bounded


def cross(ratios: Floats, curves: Floats, margin: float) -> Floats:
    """Ratio at which each curve reaches the margin, linear between tested ratios; inf where it does not reach it.

    Args:
        ratios: (R,) ascending, above 0.
        curves: (B, R) non-decreasing losses; at ratio 0 the loss is 0.
        margin: Above 0.
    """
    x = np.concatenate([[0.0], ratios])
    y = np.concatenate([np.zeros((len(curves), 1)), curves], axis=1)
    reached = y >= margin
    after = np.where(reached.any(axis=1), reached.argmax(axis=1), 1)
    row = np.arange(len(y))
    below, above = y[row, after - 1], y[row, after]
    step = np.divide(margin - below, above - below, out=np.zeros(len(y)), where=above > below)
    at = x[after - 1] + step * (x[after] - x[after - 1])
    return np.where(reached.any(axis=1), at, np.inf)


def margin_crossing(
    pairs: Sequence[Pairs], metric: Metric, margin: float, tail: float, place: tuple[str, str]
) -> Crossing | None:
    """Fit the curve of one data set and metric and find where it crosses the margin.

    Args:
        pairs: The differences by ratio, ascending.
        metric: The metric.
        margin: Its margin.
        tail: One-sided error of each end of the intervals.
        place: Data set and group.

    Returns:
        None where no ratio can be compared.
    """
    usable = usable_pairs(pairs)
    if not usable:
        return None
    ratios = np.array([float(pair.level) for pair in usable])
    curve = fit_isotonic(np.array([[metric.worsening(pair.difference or 0.0) for pair in usable]]))
    at = float(cross(ratios, curve, margin)[0])
    notes = () if len(usable) == len(pairs) else (f"ratios above {ratios[-1]:g} cannot be compared",)
    low = high = None
    ends: tuple[Floats, Floats] | None = None
    if (losses := stretched_losses(usable, metric)) is not None:
        curves = fit_isotonic(losses)
        low, high = (
            _finite(end) for end in np.quantile(cross(ratios, curves, margin), [tail, 1 - tail], method="inverted_cdf")
        )
        ends = tuple(np.quantile(curves, [tail, 1 - tail], axis=0))
    points = tuple(_point(metric, ratio, k, curve[0], ends) for k, ratio in enumerate(ratios))
    return Crossing(
        place[0],
        metric.column,
        margin,
        _finite(at),
        low,
        high,
        float(ratios[-1]),
        points,
        notes + seeds_differ(usable),
        place[1],
    )


def _point(metric: Metric, ratio: float, place: int, curve: Floats, ends: tuple[Floats, Floats] | None) -> CurvePoint:
    """A point of the curve as a difference with the sign of the metric."""
    turned = float(metric.worsening(curve[place])) + 0.0
    if ends is None:
        return CurvePoint(float(ratio), turned, None, None)
    low, high = sorted(float(metric.worsening(end[place])) + 0.0 for end in ends)
    return CurvePoint(float(ratio), turned, low, high)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
