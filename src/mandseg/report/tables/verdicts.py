"""The verdict on the primary metric: a row for each level, a column for each data set."""

from collections.abc import Sequence

from mandseg.metrics.catalogue import Metric, metric_named
from mandseg.report.tables.columns import level_column
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, amount, level_name, number, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Difference, as_table


def verdict_table(analysis: Analysis, name: str, groups: bool = False) -> Table | None:
    """The verdict on the primary metric; None if nothing was compared.

    Args:
        analysis: The analysis.
        name: Name of the files.
        groups: False: a row for each level, a column for each data set. True: a row for each group of cases, a column
            for each level.
    """
    metric = metric_named(analysis.primary)
    rows = [row for row in analysis.differences if row.metric == metric.column and bool(row.group) == groups]
    if not rows:
        return None
    heads = list(dict.fromkeys((row.dataset, row.group) for row in rows))
    levels = list(dict.fromkeys(row.level for row in rows))
    found = {(row.dataset, row.group, row.level): row for row in rows}
    margin = analysis.margins.of(metric)
    against = analysis.comparison.name(analysis.comparison.baseline)
    limit = "no margin" if margin is None else f"margin {amount(margin, metric)}"
    caption = f"{metric.label} against {against} ({limit})"
    data = as_table(rows, Difference, analysis.comparison.column)
    if groups:
        columns = [
            Column("Cases", words=False),
            *(Column(level_name(level), level_column(analysis)) for level in levels),
        ]
        cells = [
            [Cell(f"{dataset}, {group}"), *(_verdict(found.get((dataset, group, level)), metric) for level in levels)]
            for dataset, group in heads
        ]
        return Table(name, caption, columns, cells, data)
    columns = [Column(level_column(analysis)), *(Column(dataset) for dataset, _ in heads)]
    cells = [
        [
            Cell(level_name(level)),
            *(
                _verdict(row, metric, _doubt(row, rows, metric))
                for row in (found.get((dataset, "", level)) for dataset, _ in heads)
            ),
        ]
        for level in levels
    ]
    return Table(name, caption, columns, cells, data)


def _verdict(row: Difference | None, metric: Metric, doubt: str = "") -> Cell:
    if row is None:
        return Cell(ABSENT)
    if row.difference is None:
        return Cell(row.verdict, "; ".join(row.notes), row.verdict)
    interval = f" ({span(row, metric)})" if row.low is not None else ""
    size = number(row.difference, metric.decimals, signed=True)
    return Cell(row.verdict, f"{size}{interval}{doubt}", row.verdict, order=row.difference)


def _doubt(row: Difference | None, rows: Sequence[Difference], metric: Metric) -> str:
    """A remark for the cell of a ratio with one seed that loses less than a smaller one: the curve is not monotone."""
    if row is None or row.difference is None or row.n_seeds != 1 or not isinstance(row.level, int | float):
        return ""
    smaller = [
        other
        for other in rows
        if (other.dataset, other.group) == (row.dataset, row.group)
        and isinstance(other.level, int | float)
        and other.level < row.level
        and other.difference is not None
        and metric.worsening(other.difference) > metric.worsening(row.difference)
    ]
    if not smaller:
        return ""
    return f"; not monotone: less loss than at {level_name(smaller[-1].level)}, with one seed"
