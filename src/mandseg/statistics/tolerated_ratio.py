"""The tolerated noise ratio: tested in ascending order, and estimated with an interval from resamples."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.paired_tests import Pairs
from mandseg.statistics.results import Difference, Tolerance
from mandseg.statistics.variance import Floats


def tolerated_ratio(
    rows: Sequence[Difference], pairs: Sequence[Pairs], metric: Metric, margin: float, tail: float
) -> Tolerance:
    """Test the ratios in ascending order and stop at the first that is not non-inferior.

    Each test is made only when all before it succeeded. A fixed order of tests needs no adjustment.

    Args:
        rows: The differences of one data set and metric, ratios ascending.
        pairs: The paired scores behind them, in the same order.
        metric: The metric.
        margin: The margin of the metric.
        tail: One-sided error of each end of the interval.
    """
    stop = next((row for row in rows if row.verdict != "non-inferior"), None)
    passed = [row.noise_ratio for row in rows if stop is None or row.noise_ratio < stop.noise_ratio]
    usable = usable_pairs(pairs)
    tested = Tolerance(
        dataset=rows[0].dataset,
        metric=metric.column,
        margin=margin,
        tolerated=max(passed, default=None),
        stopped_at=stop.noise_ratio if stop else None,
        verdict_there=stop.verdict if stop else None,
        group=rows[0].group,
    )
    return _with_interval(tested, usable, metric, tail, len(usable) < len(pairs))


def _with_interval(tested: Tolerance, pairs: Sequence[Pairs], metric: Metric, tail: float, cut: bool) -> Tolerance:
    """The tolerance with its estimate, and the interval of the estimate over resamples of seeds and cases."""
    if not pairs:
        return replace(tested, notes=("the smallest ratio cannot be compared, so no estimate can be given",))
    ratios = np.array([0.0, *(float(pair.level) for pair in pairs)])
    losses = np.array([[metric.worsening(pair.difference or 0.0) for pair in pairs]])
    estimated = replace(tested, estimate=float(ratios[cumulative_crossing(losses, tested.margin)[0]]))
    notes = (f"ratios above {ratios[-1]:g} cannot be compared and are left out of the interval",) if cut else ()
    resampled = stretched_losses(pairs, metric)
    if resampled is None:
        return replace(estimated, notes=(*notes, "no interval can be given"))
    reached = cumulative_crossing(resampled, tested.margin)
    low, high = (float(ratios[place]) for place in np.quantile(reached, [tail, 1 - tail], method="inverted_cdf"))
    shares = tuple((float(ratio), float((reached >= place).mean())) for place, ratio in enumerate(ratios) if place)
    return replace(estimated, low=low, high=high, shares=shares, notes=notes + seeds_differ(pairs))


def cumulative_crossing(losses: Floats, margin: float) -> NDArray[np.intp]:
    """Number of ratios before the first loss that is not below the margin. (B, R) -> (B,) in 0 to R."""
    before: NDArray[np.intp] = np.logical_and.accumulate(losses < margin, axis=1).sum(axis=1)
    return before


def usable_pairs(pairs: Sequence[Pairs]) -> list[Pairs]:
    """The ratios up to the first that cannot be compared."""
    stop = next((place for place, pair in enumerate(pairs) if pair.scores is None), len(pairs))
    return list(pairs[:stop])


def stretched_losses(pairs: Sequence[Pairs], metric: Metric) -> Floats | None:
    """Resampled mean losses of every ratio, with the same draws for all. (B, R); None if a ratio has no interval."""
    distributions = [pair.distribution for pair in pairs if pair.distribution is not None]
    if len(distributions) < len(pairs) or not pairs:
        return None
    columns = np.stack([distribution.widened_interval for distribution in distributions], axis=1)
    return -columns if metric.better == "higher" else columns


def seeds_differ(pairs: Sequence[Pairs]) -> tuple[str, ...]:
    """A warning where the ratios do not have the same seeds and cases."""
    tables = {(pair.scores.seeds, pair.scores.cases) for pair in pairs if pair.scores is not None}
    return ("the ratios have different seeds or cases: their common variation is unknown",) if len(tables) > 1 else ()
