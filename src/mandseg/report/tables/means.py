"""Means with their intervals by data set, and the matrix of training conditions and test sets."""

from collections.abc import Iterator, Sequence

import pandas as pd

from mandseg.metrics.catalogue import METRICS, metric_named
from mandseg.report.tables.columns import (
    file_names,
    level_column,
    mean_cell,
    notes,
    unit_of,
)
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import level_name
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Mean, as_table


def mean_tables(analysis: Analysis, prefix: str) -> Iterator[Table]:
    """Means with their intervals: a table for each data set, rows for levels (and groups), columns for metrics."""
    names = file_names(analysis.datasets)
    for dataset in analysis.datasets:
        of_set = [row for row in analysis.means if row.dataset == dataset]
        there = [metric for metric in METRICS if any(row.metric == metric.column for row in of_set)]
        places = list(dict.fromkeys((row.group, row.level) for row in of_set))
        columns = [
            Column(level_column(analysis)),
            *(Column(unit_of(metric)) for metric in there),
            *(Column("Cases", "seeds"), Column("Missed"), Column("Spurious")),
        ]
        rows = []
        for group, level in places:
            found = {row.metric: row for row in of_set if (row.group, row.level) == (group, level)}
            first = next(iter(found.values()))
            rows.append(
                [
                    Cell(level_name(level), group),
                    *(mean_cell(found.get(metric.column), metric) for metric in there),
                    Cell(str(first.n_cases), str(first.n_seeds)),
                    *(Cell(f"{n} of {first.n_predictions}") for n in (first.n_missed, first.n_spurious)),
                ]
            )
        data = as_table(of_set, Mean, analysis.comparison.column)
        yield Table(f"{prefix}means-{names[dataset]}", dataset, columns, rows, data, notes(of_set))


def matrix_table(parts: Sequence[tuple[str, Analysis]], name: str) -> Table | None:
    """Training condition x test set: mean of the primary metric at each level; None with one condition and one set."""
    rows, data = [], []
    datasets = list(dict.fromkeys(dataset for _, analysis in parts for dataset in analysis.datasets))
    for title, analysis in parts:
        metric = metric_named(analysis.primary)
        for level in analysis.levels:
            found = {dataset: analysis.mean(dataset, metric.column, level) for dataset in datasets}
            where = f"{level_column(analysis).lower()} {level_name(level)}"
            rows.append(
                [Cell(title or where, where if title else ""), *(mean_cell(found[d], metric) for d in datasets)]
            )
            data += [
                {"training": title, analysis.comparison.column: level, "test": dataset, metric.column: row.mean}
                for dataset, row in found.items()
                if row is not None
            ]
    if not rows or (len(datasets) < 2 and len(parts) < 2):
        return None
    label = metric_named(parts[0][1].primary).label
    columns = [Column("Trained on"), *(Column(dataset) for dataset in datasets)]
    return Table(name, f"{label} by training condition and test set", columns, rows, pd.DataFrame(data))
