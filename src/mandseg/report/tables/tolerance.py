"""The tolerated noise ratio of every data set, and of its groups."""

from mandseg.metrics.catalogue import metric_named
from mandseg.report.tables.columns import notes
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, amount
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Tolerance, as_table


def tolerance_table(analysis: Analysis, name: str, primary: bool) -> Table | None:
    """Tolerated ratio, its bootstrap interval and the fitted crossing, of every data set (and group).

    Args:
        analysis: The analysis.
        name: Name of the files.
        primary: True for the primary metric, False for all other metrics.
    """
    tolerances = [row for row in analysis.tolerances if (row.metric == analysis.primary) == primary]
    if not tolerances:
        return None
    crossings = {(row.dataset, row.metric, row.group): row for row in analysis.crossings}
    columns = [
        *(Column("Data set"), Column("Metric", words=True), Column("Margin")),
        *(Column("Tolerated", "non-inferior"), Column("Stopped at", "verdict")),
        *(Column("Estimate", "mean loss below the margin"), Column("Fit reaches the margin at")),
    ]
    rows = []
    for row in tolerances:
        metric = metric_named(row.metric)
        crossing = crossings.get((row.dataset, row.metric, row.group))
        ends = "no interval" if row.low is None or row.high is None else f"{row.low:g} to {row.high:g}"
        rows.append(
            [
                Cell(f"{row.dataset}, {row.group}" if row.group else row.dataset),
                Cell(metric.label),
                Cell(amount(row.margin, metric)),
                Cell("none" if row.tolerated is None else f"{row.tolerated:g}", order=row.tolerated or 0.0),
                Cell("all tested" if row.stopped_at is None else f"{row.stopped_at:g}", row.verdict_there or ""),
                Cell(ABSENT if row.estimate is None else f"{row.estimate:g}", ends),
                Cell(ABSENT if crossing is None else crossing.words.replace("(no interval)", "")),
            ]
        )
    label = metric_named(analysis.primary).label if primary else "all other metrics"
    return Table(
        name, f"Tolerated noise ratio: {label}", columns, rows, as_table(tolerances, Tolerance), notes(tolerances)
    )
