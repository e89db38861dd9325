"""The part of the page about one arm: runs that differ only in the compared column and the seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mandseg.report.case_pictures import MOST, CasePicture, pictures
from mandseg.report.dose import DosePart, build_dose
from mandseg.report.figure_set import draw_figures
from mandseg.report.figures.source import FigureSource, ReportFigure
from mandseg.report.settings import applied_noise
from mandseg.report.tables.differences import contrast_table, difference_tables
from mandseg.report.tables.means import mean_tables
from mandseg.report.tables.missed import missed_table, without_missed_table
from mandseg.report.tables.noise import noise_table
from mandseg.report.tables.table import Table
from mandseg.report.tables.tolerance import tolerance_table
from mandseg.report.tables.verdicts import verdict_table
from mandseg.runs.study import Study
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import Arm, Level

FULL_ARMS = 8


@dataclass(frozen=True)
class Section:
    """Finding, figures and tables of one arm; None or empty where there is none."""

    title: str
    fixed: Mapping[str, Level]
    runs: frozenset[str]
    analysis: Analysis
    figures: Mapping[str, Sequence[ReportFigure]]  # by the part of the page
    verdicts: Table | None
    group_verdicts: Table | None
    tolerances: Table | None
    other_tolerances: Table | None
    means: Sequence[Table]
    differences: Sequence[Table]
    gaps: Table | None
    interactions: Table | None
    pictures: Sequence[CasePicture]
    missed: Table | None
    without_missed: Table | None
    noise: Table | None
    applied: pd.DataFrame
    dose: DosePart | None = None

    @property
    def tables(self) -> Iterator[Table]:
        """Every table of the section."""
        tables = [self.verdicts, self.group_verdicts, self.tolerances, self.other_tolerances]
        tables += [self.gaps, self.interactions]
        tables += [self.missed, self.without_missed, self.noise, *self.means, *self.differences]
        tables += self.dose.tables if self.dose else []
        yield from (table for table in tables if table is not None)


def build_section(
    study: Study,
    arm: Arm,
    analysis: Analysis,
    folder: Path,
    prefix: str,
    title: str,
    n_arms: int = 1,
    further: Sequence[str] = (),
    by: Sequence[str] = (),
) -> Section:
    """Draw the figures of an arm into ``folder`` and make its tables.

    Args:
        study: The study.
        arm: The rows of the arm.
        analysis: The analysis of the arm.
        folder: Folder of the figures.
        prefix: Prefix of file names; empty for a single arm.
        title: Title of the arm on the page.
        n_arms: Number of arms on the page. With many arms each has fewer pictures, and only the main figures.
        further: File types of the figures beside SVG.
        by: Columns of the cases by which the analysis has groups, too.
    """
    runs = frozenset(map(str, arm.cases.run.unique()))
    curves = _curves(study, arm.cases, analysis)
    applied = applied_noise(study, runs)
    source = FigureSource(analysis, arm.cases, applied, curves, prefix)
    label = analysis.primary_metric.label
    baseline = analysis.comparison.name(analysis.comparison.baseline)
    dose = build_dose(arm.cases, analysis.comparison, analysis.margins, folder, prefix, by, further)
    return Section(
        title=title,
        fixed=arm.fixed,
        runs=runs,
        analysis=analysis,
        figures=draw_figures(source, folder, n_arms <= FULL_ARMS, further) | {"dose": [dose.figure] if dose else []},
        verdicts=verdict_table(analysis, f"{prefix}verdicts"),
        group_verdicts=verdict_table(analysis, f"{prefix}verdicts-by-group", groups=True),
        tolerances=tolerance_table(analysis, f"{prefix}tolerances", primary=True),
        other_tolerances=tolerance_table(analysis, f"{prefix}tolerances-other", primary=False),
        means=list(mean_tables(analysis, prefix)),
        differences=list(difference_tables(analysis, prefix)),
        gaps=contrast_table(
            analysis.gaps, analysis, f"{prefix}gaps", f"{label}: data set minus home data set (generalisation gap)"
        ),
        interactions=contrast_table(
            analysis.interactions,
            analysis,
            f"{prefix}interactions",
            f"{label}: difference from {baseline} on the data set minus that on the home data set (interaction)",
        ),
        pictures=pictures(study.path, arm.cases, analysis.comparison, analysis.levels, MOST // n_arms),
        missed=missed_table(arm.cases, analysis, f"{prefix}missed"),
        without_missed=without_missed_table(analysis, f"{prefix}without-missed"),
        noise=noise_table(applied, f"{prefix}noise-applied"),
        applied=applied,
        dose=dose,
    )


def _curves(study: Study, cases: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The learning curves of the runs of the arm, with their levels."""
    column = analysis.comparison.column
    levels = cases.drop_duplicates("run").set_index("run")[column]
    curves = study.learning_curves
    if curves.empty:
        return pd.DataFrame(columns=["level", "seed", "step"])
    own = curves[curves.run.isin(levels.index)]
    return own.assign(level=own.run.map(levels))
