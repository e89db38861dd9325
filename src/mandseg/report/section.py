"""What the page says about one arm: all that was run alike but for what is compared and the seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mandseg.metrics.catalogue import metric_named
from mandseg.report.case_pictures import MOST, Picture, pictures
from mandseg.report.figure_set import Drawing, Drawings
from mandseg.report.settings import applied_noise
from mandseg.report.tables import tables
from mandseg.report.tables.table import Table
from mandseg.runs.study import Study
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import Arm, Level

FULL_ARMS = 8


@dataclass(frozen=True)
class Part:
    """One arm's finding, figures and tables; what is not there is None or empty."""

    title: str
    fixed: Mapping[str, Level]
    runs: frozenset[str]
    analysis: Analysis
    curve: Drawing | None
    verdicts: Table | None
    group_verdicts: Table | None
    tolerances: Table | None
    other_tolerances: Table | None
    response: Drawing | None
    other_curves: Sequence[Drawing]
    forest: Drawing | None
    single_cases: Sequence[Drawing]
    seeds: Drawing | None
    means: Sequence[Table]
    differences: Sequence[Table]
    gaps: Table | None
    interactions: Table | None
    pictures: Sequence[Picture]
    missed: Table | None
    without_missed: Table | None
    noise: Table | None
    noise_drawings: Sequence[Drawing]
    learning: Sequence[Drawing]
    memorisation: Drawing | None
    applied: pd.DataFrame

    @property
    def figures(self) -> Iterator[Drawing]:
        """Every figure that is there."""
        found = [self.curve, self.response, self.forest, self.seeds, self.memorisation]
        found += [*self.other_curves, *self.single_cases, *self.noise_drawings, *self.learning]
        yield from (figure for figure in found if figure is not None)

    @property
    def tables(self) -> Iterator[Table]:
        """Every table that is there."""
        found = [self.verdicts, self.group_verdicts, self.tolerances, self.other_tolerances]
        found += [self.gaps, self.interactions]
        found += [self.missed, self.without_missed, self.noise, *self.means, *self.differences]
        yield from (table for table in found if table is not None)


def build_part(
    study: Study, arm: Arm, analysis: Analysis, folder: Path, prefix: str, title: str, n_arms: int = 1
) -> Part:
    """Draw the figures of an arm into ``folder`` and lay out its tables.

    Args:
        study: The study.
        arm: The arm's rows.
        analysis: What was found on them.
        folder: Where figures go.
        prefix: Of the names of files; empty where there is one arm.
        title: What the page calls the arm.
        n_arms: How many arms share the page; of many, each has fewer pictures, and no figures but the main ones.
    """
    few = n_arms <= FULL_ARMS
    drawings = Drawings(analysis, arm.cases, folder, prefix)
    runs = frozenset(map(str, arm.cases.run.unique()))
    curves = _curves(study, arm.cases, analysis)
    applied = applied_noise(study, runs)
    label = metric_named(analysis.primary).label
    return Part(
        title=title,
        fixed=arm.fixed,
        runs=runs,
        analysis=analysis,
        curve=drawings.curve(drawings.primary),
        verdicts=tables.verdict_table(analysis, f"{prefix}verdicts"),
        group_verdicts=tables.verdict_table(analysis, f"{prefix}verdicts-by-group", groups=True),
        tolerances=tables.tolerance_table(analysis, f"{prefix}tolerances", primary=True),
        other_tolerances=tables.tolerance_table(analysis, f"{prefix}tolerances-other", primary=False),
        response=drawings.response(),
        other_curves=list(drawings.curves()) if few else [],
        forest=drawings.forest(drawings.primary),
        single_cases=list(drawings.single_cases()) if few else [],
        seeds=drawings.seeds() if few else None,
        means=list(tables.mean_tables(analysis, prefix)),
        differences=list(tables.difference_tables(analysis, prefix)),
        gaps=tables.contrast_table(
            analysis.gaps, analysis, f"{prefix}gaps", f"{label}: data set minus home data set (generalisation gap)"
        ),
        interactions=tables.contrast_table(
            analysis.interactions,
            analysis,
            f"{prefix}interactions",
            f"{label}: loss on the data set minus loss on the home data set (interaction)",
        ),
        pictures=list(pictures(study.path, arm.cases, analysis.comparison, analysis.levels, MOST // n_arms)),
        missed=tables.missed_table(arm.cases, analysis, f"{prefix}missed"),
        without_missed=tables.without_missed_table(analysis, f"{prefix}without-missed"),
        noise=tables.noise_table(applied, f"{prefix}noise-applied"),
        noise_drawings=list(drawings.noise(applied)),
        learning=list(drawings.learning(curves)),
        memorisation=drawings.memorisation(curves),
        applied=applied,
    )


def _curves(study: Study, cases: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The learning curves of the arm's runs, with the level of each."""
    column = analysis.comparison.column
    levels = cases.drop_duplicates("run").set_index("run")[column]
    curves = study.learning_curves
    if curves.empty:
        return pd.DataFrame(columns=["level", "seed", "step"])
    own = curves[curves.run.isin(levels.index)]
    return own.assign(level=own.run.map(levels))
