"""Dose errors by level, and their differences from the baseline: two tables for each data set."""

from collections.abc import Iterator, Mapping, Sequence

from mandseg.metrics.catalogue import Metric
from mandseg.metrics.dose.catalogue import Measure
from mandseg.report.tables.columns import file_names, level_column, notes
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, level_name, number, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import Level
from mandseg.statistics.results import Difference, Mean, as_table


def dose_tables(analysis: Analysis, measures: Sequence[Measure], prefix: str) -> Iterator[Table]:
    """For each data set the mean absolute error and the mean error of every measure: a row for each level and group."""
    names = file_names(analysis.datasets)
    for dataset in analysis.datasets:
        of_set = [row for row in analysis.means if row.dataset == dataset]
        columns = [
            Column(level_column(analysis)),
            *(Column(f"{measure.label}, {measure.unit}", "absolute error; error") for measure in measures),
            Column("Cases", "seeds"),
        ]
        rows = []
        for group, level in _places(of_set):
            found = {row.metric: row for row in of_set if (row.group, row.level) == (group, level)}
            first = next(iter(found.values()))
            cells = [_errors(measure, found) for measure in measures]
            rows.append([Cell(level_name(level), group), *cells, Cell(str(first.n_cases), str(first.n_seeds))])
        data = as_table(of_set, Mean, analysis.comparison.column)
        caption = f"{dataset}: mean error of the dose of the predicted contour (95 % interval)"
        yield Table(
            f"{prefix}dose-errors-{names[dataset]}",
            caption,
            columns,
            rows,
            data,
            notes(of_set, metrics=analysis.metrics),
        )


def dose_difference_tables(analysis: Analysis, measures: Sequence[Measure], prefix: str) -> Iterator[Table]:
    """For each data set the change of the mean absolute error from the baseline, with its verdict."""
    names = file_names(analysis.datasets)
    baseline = analysis.comparison.name(analysis.comparison.baseline)
    for dataset in analysis.datasets:
        of_set = [row for row in analysis.differences if row.dataset == dataset]
        found = {(row.metric, row.group, row.level): row for row in of_set}
        if not of_set:
            continue
        columns = [
            Column(level_column(analysis)),
            *(Column(f"{measure.label}, {measure.unit}", _margin(measure.absolute, analysis)) for measure in measures),
        ]
        rows = [
            [
                Cell(level_name(level), group),
                *(_change(found.get((m.absolute.column, group, level)), m.absolute) for m in measures),
            ]
            for group, level in _places(of_set)
        ]
        data = as_table(of_set, Difference, analysis.comparison.column)
        caption = f"{dataset}: change of the mean absolute error of the dose against {baseline}"
        yield Table(f"{prefix}dose-differences-{names[dataset]}", caption, columns, rows, data)


def _places(rows: Sequence[Mean] | Sequence[Difference]) -> list[tuple[str, Level]]:
    """The groups of cases and their levels, the whole data set first."""
    return list(dict.fromkeys((row.group, row.level) for row in rows))


def _errors(measure: Measure, found: Mapping[str, Mean]) -> Cell:
    """The absolute error with its interval; below it the error with its sign."""
    absolute, error = (found.get(score.column) for score in (measure.absolute, measure.error))
    if absolute is None or error is None:
        return Cell(ABSENT)
    size = f"{number(absolute.mean, 2)} ({span(absolute, measure.absolute)})"
    ends = (number(end, 2, signed=True) for end in (error.mean, error.low, error.high))
    mean, low, high = ends
    return Cell(size, f"{mean} ({low} to {high})", order=absolute.mean)


def _change(row: Difference | None, metric: Metric) -> Cell:
    if row is None:
        return Cell(ABSENT)
    if row.difference is None:
        return Cell(row.verdict, "; ".join(row.notes), row.verdict)
    size = f"{number(row.difference, 2, signed=True)} ({span(row, metric)})"
    return Cell(size, row.verdict, row.verdict, order=row.difference)


def _margin(metric: Metric, analysis: Analysis) -> str:
    margin = analysis.margins.of(metric)
    return "no margin" if margin is None else f"margin {margin:g} {metric.unit}"
