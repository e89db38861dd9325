"""The part of the page about dose: what a level costs in Gy, with its limits in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mandseg.metrics.dose.catalogue import REFERENCE, Measure, measures_of, scores_of
from mandseg.metrics.margins import Margins
from mandseg.metrics.outcome import WORST_CASE
from mandseg.report.figures.dose import dose_drawing
from mandseg.report.figures.source import ReportFigure, draw
from mandseg.report.tables.dose import dose_difference_tables, dose_tables
from mandseg.report.tables.table import Table
from mandseg.report.wording import amount, listed, number, percent, span, visible
from mandseg.runs.dose.table import OUTSIDE_ML, VOXEL_ML
from mandseg.statistics.analysis import Analysis, analyse
from mandseg.statistics.comparison import Comparison, Level
from mandseg.statistics.non_inferiority import PREDICATES
from mandseg.statistics.results import Difference, Mean
from mandseg.system.wording import count, some_of, verb

FEW_VOXELS = 10
"""D0.1cc of fewer voxels depends on where the grid lies."""
FIXED_PLAN = (
    "The plan is fixed: both contours lie in one planned dose, which was not optimised again for the predicted "
    "contour. A plan made for the predicted contour would have another dose."
)


@dataclass(frozen=True)
class DosePart:
    """What the page says of the dose of one arm."""

    sentences: Sequence[str]
    figure: ReportFigure
    tables: Sequence[Table]
    notes: Sequence[str]
    methods: str


def build_dose(
    cases: pd.DataFrame,
    comparison: Comparison,
    margins: Margins,
    folder: Path,
    prefix: str,
    by: Sequence[str] = (),
    further: Sequence[str] = (),
) -> DosePart | None:
    """Analyse the dose scores of an arm, draw their figure into ``folder`` and make their tables.

    Args:
        cases: The rows of the arm.
        comparison: The compared column and its baseline.
        margins: The declared margins, in Gy and percentage points.
        folder: Folder of the figures.
        prefix: Prefix of file names.
        by: Columns of the cases; each of their values has rows of its own in the tables.
        further: File types of the figure beside SVG.

    Returns:
        None if no case has a dose score.
    """
    measures = measures_of(cases.columns)
    dosed = cases[cases[measures[0].error.column].notna()] if measures else cases.head(0)
    if dosed.empty:
        return None
    scores = scores_of(measures)
    primary = measures[0].absolute.column
    analysis = analyse(dosed, margins, comparison=comparison, by=by, primary=primary, metrics=scores)
    return DosePart(
        sentences=list(_sentences(analysis, measures, dosed)),
        figure=draw(dose_drawing(analysis, measures, prefix), folder, further),
        tables=[*dose_tables(analysis, measures, prefix), *dose_difference_tables(analysis, measures, prefix)],
        notes=list(_notes(analysis, measures, cases, dosed)),
        methods=_methods(analysis, measures, dosed),
    )


def _sentences(analysis: Analysis, measures: Sequence[Measure], cases: pd.DataFrame) -> Iterator[str]:
    """For each data set the error at the baseline, and what every other level costs in Gy."""
    in_gray = [measure for measure in measures if measure.unit == "Gy"]
    first = in_gray[0]
    for dataset in analysis.datasets:
        own = cases[cases.dataset == dataset]
        means = [analysis.of(analysis.means, dataset, score.column) for score in (first.absolute, first.error)]
        (absolute, *_), (error, *_) = means
        parts = [_mean_words(absolute, error, first, analysis, own)]
        levels = dict.fromkeys(row.level for row in analysis.differences_of(dataset, first.absolute.column))
        for level in levels:
            found = [(m, _row(analysis, dataset, m.absolute.column, level)) for m in in_gray]
            rows = [(measure, row) for measure, row in found if row is not None and row.difference is not None]
            parts += _level_words(analysis.comparison, level, rows)
        yield " ".join(parts)


def _level_words(comparison: Comparison, level: Level, rows: Sequence[tuple[Measure, Difference]]) -> list[str]:
    """One sentence on what a level costs; none where nothing could be paired."""
    if not rows:
        return []
    named, verb = comparison.name(level), "costs" if comparison.is_dose else "changes"
    verdicts = {row.verdict for _, row in rows}
    costs = listed([_cost_words(measure, row, shows_verdict=len(verdicts) > 1) for measure, row in rows])
    shared = f"; each {PREDICATES[min(verdicts)]}" if len(verdicts) == 1 else ""
    return [f"{named[:1].upper()}{named[1:]} {verb}, in mean absolute error: {costs}{shared}."]


def _mean_words(absolute: Mean, error: Mean, measure: Measure, analysis: Analysis, cases: pd.DataFrame) -> str:
    where = f"{absolute.dataset}: at {analysis.comparison.name(absolute.level)}"
    interval = f"{percent(analysis)} interval {span(absolute, measure.absolute)}" if absolute.low is not None else ""
    sample = f"{count(absolute.n_cases, 'case')}, {count(absolute.n_seeds, 'seed')}"
    reference = number(cases.drop_duplicates("case_id")[measure.name + REFERENCE].mean(), 1)
    size = number(abs(error.mean), visible(error.mean, 2))
    side = "too high" if error.mean > 0 else "too low"
    return (
        f"{where}, the mean absolute error of {measure.label} is {number(absolute.mean, 2)} Gy "
        f"({'; '.join(filter(None, (interval, sample)))}); on average {measure.label} is {size} Gy {side}, "
        f"and that of the references is {reference} Gy."
    )


def _row(analysis: Analysis, dataset: str, column: str, level: Level) -> Difference | None:
    return next((row for row in analysis.differences_of(dataset, column) if row.level == level), None)


def _cost_words(measure: Measure, row: Difference, shows_verdict: bool) -> str:
    interval = span(row, measure.absolute) if row.low is not None else "no interval"
    verdict = f", {row.verdict}" if shows_verdict else ""
    return f"{number(row.difference, 2, signed=True)} Gy in {measure.label} ({interval}{verdict})"


def _notes(analysis: Analysis, measures: Sequence[Measure], cases: pd.DataFrame, dosed: pd.DataFrame) -> Iterator[str]:
    """The limits of the numbers and the sources of the margins."""
    yield FIXED_PLAN
    if dosed[VOXEL_ML].notna().any() and (voxels := 0.1 / float(dosed[VOXEL_ML].median())) < FEW_VOXELS:
        voxel = f"{float(dosed[VOXEL_ML].median()):.3f} ml"
        yield f"A voxel of the contours has {voxel} (median), so D0.1cc rests on about {voxels:.0f} voxels."
    for measure in measures:
        if (margin := analysis.margins.of(measure.absolute)) is not None:
            source = analysis.margins.source(measure.absolute)
            yield f"Margin of the mean absolute error of {measure.label}, {amount(margin, measure.absolute)}: {source}."
    if n := int(dosed.outcome.isin(WORST_CASE).sum()):
        yield f"{count(n, 'missed or spurious prediction')}: the measures of an empty contour count as 0."
    if n := int((dosed[OUTSIDE_ML] > 0).sum()):
        reach = f"{count(n, 'prediction')} {verb(n, 'reach')} outside the grid of the dose"
        yield f"{reach}, by up to {dosed[OUTSIDE_ML].max():.2f} ml; this part is left out."
    tested = cases.drop_duplicates(["dataset", "case_id"])
    without = len(tested) - len(dosed.drop_duplicates(["dataset", "case_id"]))
    if without:
        yield f"{some_of(without, len(tested), 'test case', 'have')} no dose."
    if n := cases.run.nunique() - dosed.run.nunique():
        yield f"{some_of(n, cases.run.nunique(), 'run', 'have')} no dose score: call mandseg dose."


def _methods(analysis: Analysis, measures: Sequence[Measure], cases: pd.DataFrame) -> str:
    """A paragraph for a methods section."""
    labels = listed([measure.label for measure in measures])
    margins = [
        f"{measure.label} {amount(margin, measure.absolute)}"
        for measure in measures
        if (margin := analysis.margins.of(measure.absolute)) is not None
    ]
    return (
        f"Dose: for {cases.case_id.nunique()} test cases the planned dose was interpolated linearly at the voxel "
        f"centres of the predicted contour and of the reference, and {labels} of both were compared. D0.1cc and D2cc "
        "are the lowest dose in the hottest 0.1 and 2 cc, interpolated between voxels sorted by dose; V is the share "
        "of the volume with the dose in Gy or more. Mean absolute errors were compared like the other metrics "
        f"(margins: {', '.join(margins)}). The plan was not optimised again for the predicted contours."
    )
