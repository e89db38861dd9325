"""Parts that several tables use: names of levels and metrics, cells with numbers, notes."""

from collections.abc import Sequence
from itertools import count

import pandas as pd

from mandseg.metrics.catalogue import METRICS, Metric
from mandseg.report.tables.table import Cell
from mandseg.report.wording import ABSENT, level_name, number, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Contrast, Difference, Mean, Tolerance

LONGEST_NAME = 100  # bytes of a data set in a file name


def level_column(analysis: Analysis) -> str:
    """Head of the column of levels."""
    return analysis.comparison.label


def short(metric: Metric) -> str:
    """A metric's label, short enough for a column."""
    return metric.label.replace("Surface Dice at", "NSD")


def unit_of(metric: Metric) -> str:
    """A metric's label with its unit."""
    return f"{short(metric)}, {metric.unit}" if metric.unit else short(metric)


def mean_cell(row: Mean | None, metric: Metric) -> Cell:
    """A mean with its interval below; a dash for None."""
    return Cell(ABSENT) if row is None else Cell(number(row.mean, metric.decimals), span(row, metric))


def median_cell(values: "pd.Series[float]", decimals: int) -> Cell:
    """A median with the range below; a dash if there is no value."""
    if values.empty:
        return Cell(ABSENT)
    ends = f"{number(values.min(), decimals)} to {number(values.max(), decimals)}"
    return Cell(number(middle(values), decimals), ends)


def middle(values: "pd.Series[float]") -> float | None:
    """The median; None if there is no value."""
    return float(values.median()) if len(values) else None


def notes(
    rows: Sequence[Mean] | Sequence[Difference] | Sequence[Tolerance] | Sequence[Contrast],
    metrics: Sequence[Metric] = METRICS,
) -> list[str]:
    """Each note once, with its levels, and with its metrics unless it holds for all metrics."""
    places: dict[tuple[str, str], list[str]] = {}
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        own = [row for row in rows if note in row.notes]
        noted = {row.metric for row in own}
        named = [metric.label for metric in metrics if metric.column in noted]
        which = f" ({', '.join(named)})" if noted < {row.metric for row in rows} else ""
        levels = dict.fromkeys(level_name(row.level) for row in own if not isinstance(row, Tolerance))
        places[note, which] = list(levels)
    return [
        f"{'At ' + ', '.join(levels) if levels else 'All levels'}{which}: {note}."
        for (note, which), levels in places.items()
    ]


def file_names(texts: Sequence[str]) -> dict[str, str]:
    """A part of a file name for each text. Equal names are numbered; upper and lower case count as equal."""
    names: dict[str, str] = {}
    for text in texts:
        plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)
        plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
        taken = {name.lower() for name in names.values()}
        tries = (plain if number == 1 else f"{plain}-{number}" for number in count(1))
        names[text] = next(name for name in tries if name.lower() not in taken)
    return names
