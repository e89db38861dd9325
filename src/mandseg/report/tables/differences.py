"""Differences from the baseline with all tests, and contrasts between data sets."""

from collections.abc import Iterator, Sequence

from mandseg.metrics.catalogue import metric_named
from mandseg.report.tables.columns import (
    file_names,
    level_column,
    notes,
    unit_of,
)
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, level_name, number, p_value, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Contrast, Difference, MixedCheck, as_table


def difference_tables(analysis: Analysis, prefix: str) -> Iterator[Table]:
    """Differences from the baseline with all tests: a table for each data set."""
    names = file_names(analysis.datasets)
    mixed = {(row.dataset, row.metric, row.level, row.group): row for row in analysis.mixed}
    columns = [
        *(Column("Metric"), Column(level_column(analysis)), Column("Difference", "95 % interval")),
        *(Column("Verdict", "margin", words=True), Column("Equivalence", "TOST", words=True)),
        *(Column("p", "Wilcoxon, Holm"), Column("Rank-biserial"), Column("Detectable", "80 % power")),
        *(Column("Mixed model", "95 % interval"), Column("Cases", "seeds")),
    ]
    for dataset in analysis.datasets:
        of_set = [row for row in analysis.differences if row.dataset == dataset and not row.group]
        if not of_set:
            continue
        rows = [_difference(row, mixed.get((row.dataset, row.metric, row.level, row.group))) for row in of_set]
        data = as_table(of_set, Difference, analysis.comparison.column)
        yield Table(f"{prefix}differences-{names[dataset]}", dataset, columns, rows, data, notes(of_set))


def _difference(row: Difference, mixed: MixedCheck | None) -> list[Cell]:
    metric = metric_named(row.metric)
    check = Cell(ABSENT)
    if mixed is not None and mixed.difference is not None:
        word = {True: "", False: " (disagrees)", None: ""}[mixed.agrees]
        check = Cell(number(mixed.difference, metric.decimals, True) + word, span(mixed, metric))
    equivalence = Cell(row.equivalence, f"p {p_value(row.p_equivalent)}" if row.p_equivalent is not None else "")
    margin = "" if row.margin is None else f"{row.margin:g}"
    return [
        *(Cell(unit_of(metric)), Cell(level_name(row.level))),
        Cell(number(row.difference, metric.decimals, True), span(row, metric)),
        *(Cell(row.verdict, margin, row.verdict), equivalence, Cell(p_value(row.p_holm))),
        *(Cell(number(row.rank_biserial, 2, True)), Cell(number(row.detectable, metric.decimals)), check),
        Cell(str(row.n_cases), str(row.n_seeds)),
    ]


def contrast_table(rows: Sequence[Contrast], analysis: Analysis, name: str, caption: str) -> Table | None:
    """Contrasts of the primary metric between data sets: a row for each data set and level; None if there are none."""
    metric = metric_named(analysis.primary)
    own = [row for row in rows if row.metric == metric.column]
    if not own:
        return None
    columns = [
        *(Column("Data set"), Column("Against", words=True), Column(level_column(analysis))),
        *(Column(unit_of(metric), "95 % interval"), Column("p"), Column("Cases"), Column("Seeds")),
    ]
    cells = [
        [
            *(Cell(row.dataset), Cell(row.reference_dataset), Cell(level_name(row.level))),
            Cell(number(row.value, metric.decimals, True), span(row, metric)),
            *(Cell(p_value(row.p)), Cell(f"{row.n_cases} and {row.n_reference_cases}"), Cell(str(row.n_seeds))),
        ]
        for row in own
    ]
    return Table(name, caption, columns, cells, as_table(rows, Contrast, analysis.comparison.column), notes(own))
