"""Missed and spurious predictions, and the verdicts without them."""

import pandas as pd

from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.outcome import WORST_CASE
from mandseg.report.tables.columns import level_column
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, level_name, number, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Difference, as_table

LISTED = 60  # rows of a list of cases


def without_missed_table(analysis: Analysis, name: str) -> Table | None:
    """Differences of the primary metric with and without missed and spurious predictions; None if there are none."""
    other, metric = analysis.without_missed, metric_named(analysis.primary)
    if other is None:
        return None
    columns = [
        *(Column("Data set"), Column(level_column(analysis))),
        *(Column("With", "all predictions counted"), Column("Verdict", words=True)),
        *(Column("Without", "missed and spurious left out"), Column("Verdict", words=True)),
    ]
    rows = []
    for row in analysis.differences:
        if row.metric != metric.column or row.group:
            continue
        left = next((r for r in other.differences_of(row.dataset, row.metric) if r.level == row.level), None)
        cells = [Cell(row.dataset), Cell(level_name(row.level))]
        for one in (row, left):
            if one is None:
                cells += [Cell(ABSENT), Cell(ABSENT)]
                continue
            cells += [Cell(number(one.difference, metric.decimals, True), span(one, metric))]
            cells += [Cell(one.verdict, kind=one.verdict)]
        rows.append(cells)
    data = as_table(other.differences, Difference, analysis.comparison.column)
    caption = f"{metric.label} with and without missed and spurious predictions"
    return Table(name, caption, columns, rows, data) if rows else None


def missed_table(cases: pd.DataFrame, analysis: Analysis, name: str) -> Table | None:
    """Missed and spurious predictions: a row for each data set, case and level; None if there are none."""
    column = analysis.comparison.column
    rows = cases[cases.outcome.isin(WORST_CASE)]
    if rows.empty:
        return None
    grouped = rows.groupby(["dataset", column, "case_id", "outcome"], sort=False).seed
    data = grouped.agg(lambda seeds: ", ".join(str(int(seed)) for seed in sorted(seeds))).reset_index()
    columns = [
        *(Column("Data set"), Column(level_column(analysis)), Column("Case", words=True)),
        *(Column("Outcome", words=True), Column("Seeds", words=True)),
    ]
    cells = [
        [Cell(row[0]), Cell(level_name(row[1])), Cell(row[2]), Cell(row[3]), Cell(row[4])]
        for row in data.head(LISTED).itertuples(index=False)
    ]
    more = [f"And {len(data) - LISTED} more: see {name}.csv."] if len(data) > LISTED else []
    return Table(name, "Missed and spurious predictions", columns, cells, data, more)
