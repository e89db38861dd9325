"""Numbers, intervals and lists as words."""

import re
from collections.abc import Sequence

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import Level
from mandseg.statistics.results import Contrast, Difference, Mean, MixedCheck

MINUS = "\N{MINUS SIGN}"

ABSENT = "\N{EN DASH}"


def number(value: float | None, decimals: int, signed: bool = False) -> str:
    """A number as text: with a true minus sign and no negative zero; a dash for None."""
    if value is None:
        return ABSENT
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return (text if float(text) else f"{0:.{decimals}f}").replace("-", MINUS)


def visible(value: float, decimals: int) -> int:
    """The decimals with which a small value is not shown as 0: as many as given, or up to two more.

    >>> visible(0.26, 1), visible(0.03, 1), visible(0.0, 1)
    (1, 2, 1)
    """
    return next((more for more in range(decimals, decimals + 3) if round(value, more)), decimals)


def without_tags(text: str) -> str:
    """Markdown in which a name from a run folder is no HTML; ``p < 0.05`` stays."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def span(row: Mean | Difference | MixedCheck | Contrast, metric: Metric) -> str:
    """Both ends of an interval; a dash for none."""
    if row.low is None or row.high is None:
        return ABSENT
    signed = not isinstance(row, Mean)
    return f"{number(row.low, metric.decimals, signed)} to {number(row.high, metric.decimals, signed)}"


def p_value(p: float | None) -> str:
    """A p-value to two digits, never zero."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def percent(analysis: Analysis) -> str:
    """The confidence of an analysis, e.g. ``95 %``."""
    return f"{100 * analysis.resampling.confidence:g} %"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: ``a, b and c``; empty for no name."""
    return "" if not names else names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def amount(value: float, metric: Metric) -> str:
    """A value of a metric with its unit."""
    return f"{value:g} {metric.unit}".strip()


def level_name(level: Level) -> str:
    """A level in a cell, in a title or at an axis."""
    return f"{level:g}" if isinstance(level, int | float) else level or "(none)"
