"""Verdicts against a margin: non-inferior, inferior or inconclusive; and equivalence on both sides of zero."""

from typing import Literal

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.bootstrap import Distribution, Interval

Verdict = Literal["non-inferior", "inconclusive", "inferior", "no margin", "not comparable"]
Equivalence = Literal["equivalent", "inconclusive", "not equivalent", "no margin", "not comparable"]
PREDICATES: dict[Verdict, str] = {
    "non-inferior": "is non-inferior",
    "inconclusive": "is inconclusive",
    "inferior": "is inferior",
    "no margin": "has no stated margin",
    "not comparable": "cannot be compared",
}
"""Each verdict as the predicate of a sentence."""


def verdict(metric: Metric, margin: float | None, interval: Interval | None) -> Verdict:
    """Non-inferior: the whole interval lies inside the margin; inferior: the whole interval lies beyond it."""
    if margin is None or metric.better is None:
        return "no margin"
    if interval is None:
        return "inconclusive"
    mildest, worst = sorted((metric.worsening(interval.low), metric.worsening(interval.high)))
    if worst < margin:
        return "non-inferior"
    return "inferior" if mildest > margin else "inconclusive"


def p_non_inferior(metric: Metric, margin: float | None, distribution: Distribution | None) -> float | None:
    """One-sided p of "the loss is the margin or more"."""
    if margin is None or metric.better is None or distribution is None:
        return None
    return distribution.p_above(-margin) if metric.better == "higher" else distribution.p_below(margin)


def equivalence(metric: Metric, margin: float | None, interval: Interval | None) -> Equivalence:
    """Equivalent: the whole interval lies within the margin on both sides (two one-sided tests, Schuirmann 1987).

    Not equivalent: the whole interval lies beyond the margin on one side. Otherwise inconclusive.
    """
    if margin is None or metric.better is None:
        return "no margin"
    if interval is None:
        return "inconclusive"
    if -margin < interval.low and interval.high < margin:
        return "equivalent"
    return "not equivalent" if interval.high < -margin or interval.low > margin else "inconclusive"


def p_equivalent(metric: Metric, margin: float | None, distribution: Distribution | None) -> float | None:
    """The larger p of the two one-sided tests."""
    if margin is None or metric.better is None or distribution is None:
        return None
    return max(distribution.p_above(-margin), distribution.p_below(margin))
