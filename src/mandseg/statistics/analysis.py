"""Analysis of one arm: cases in; means, paired differences, verdicts, tolerated ratio and checks out.

The unit of analysis is the case, paired across levels; seeds are a second, crossed level (docs/statistics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pandas as pd

from mandseg.metrics.catalogue import METRICS, Metric, metric_named
from mandseg.metrics.margins import MARGINS, Margins
from mandseg.statistics.arm_notes import arm_notes
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.comparison import RATIO_COMPARISON, Comparison, Level
from mandseg.statistics.dataset_contrasts import contrasts, shared_subjects
from mandseg.statistics.dose_response import margin_crossing
from mandseg.statistics.mixed_model import mixed_check
from mandseg.statistics.non_inferiority import equivalence, p_equivalent, p_non_inferior, verdict
from mandseg.statistics.paired_tests import Pairs, holm, pair, rank_pairs, unpaired_seeds
from mandseg.statistics.power import detectable_difference
from mandseg.statistics.results import Contrast, Crossing, Difference, Mean, MixedCheck, Tolerance, cut_to_possible
from mandseg.statistics.score_table import ScoreMatrix, ScoreTable, build_score_tables
from mandseg.statistics.tolerated_ratio import tolerated_ratio
from mandseg.statistics.variance import mean_over_cases
from mandseg.system.wording import count, verb

Placed = TypeVar("Placed", Mean, Difference, Tolerance, Crossing, MixedCheck)


@dataclass(frozen=True)
class Analysis:
    """All results of the report for one arm, in the order of data sets, groups, metrics and levels.

    Attributes:
        comparison: What was compared.
        primary: Column of the metric that the finding is about.
        metrics: The metrics that were analysed.
        margins: The largest tolerated loss.
        resampling: How intervals were drawn.
        means, differences, tolerances, crossings, mixed, gaps, interactions: The rows, see
            :mod:`mandseg.statistics.results`.
        notes: Notes on the whole arm.
        unlearned: For each data set on which the networks at the baseline have not learned, the reason.
        unpaired: For the baseline and each level that shares no seed with it, the seeds in words.
        without_missed: The same analysis without missed and spurious predictions; None where there are none.
    """

    means: tuple[Mean, ...]
    differences: tuple[Difference, ...]
    tolerances: tuple[Tolerance, ...]
    crossings: tuple[Crossing, ...] = ()
    mixed: tuple[MixedCheck, ...] = ()
    gaps: tuple[Contrast, ...] = ()
    interactions: tuple[Contrast, ...] = ()
    notes: tuple[str, ...] = ()
    unlearned: dict[str, str] = field(default_factory=dict)
    unpaired: dict[Level, str] = field(default_factory=dict)
    comparison: Comparison = RATIO_COMPARISON
    primary: str = "dice"
    metrics: Sequence[Metric] = METRICS
    margins: Margins = MARGINS
    resampling: Resampling = field(default_factory=Resampling)
    without_missed: "Analysis | None" = None

    @property
    def primary_metric(self) -> Metric:
        """The metric that the finding is about."""
        return metric_named(self.primary, self.metrics)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets, the home one first."""
        return list(dict.fromkeys(row.dataset for row in self.means))

    @property
    def levels(self) -> list[Level]:
        """The levels that were scored, the baseline first."""
        return list(self.comparison.ordered([row.level for row in self.means]))

    def mean(self, dataset: str, metric: str, level: Level) -> Mean | None:
        """The mean of one whole data set, metric and level, None where nothing was scored."""
        return next((row for row in self.of(self.means, dataset, metric) if row.level == level), None)

    def differences_of(self, dataset: str, metric: str) -> tuple[Difference, ...]:
        """The differences of one whole data set and metric, by level."""
        return self.of(self.differences, dataset, metric)

    @staticmethod
    def of(rows: Sequence[Placed], dataset: str, metric: str, group: str = "") -> tuple[Placed, ...]:
        """The rows of one data set (or group of its cases) and metric."""
        return tuple(row for row in rows if (row.dataset, row.metric, row.group) == (dataset, metric, group))


def analyse(
    cases: pd.DataFrame,
    margins: Margins = MARGINS,
    resampling: Resampling | None = None,
    comparison: Comparison = RATIO_COMPARISON,
    by: Sequence[str] = (),
    primary: str = "dice",
    metrics: Sequence[Metric] = METRICS,
) -> Analysis:
    """Analyse one arm: every data set and metric.

    Args:
        cases: Rows ``<compared column>, seed, dataset, case_id, subject_id, outcome`` and one column per metric.
        margins: The largest tolerated loss.
        resampling: How intervals are drawn (default: 4,000 resamples, 95 %, seed 0).
        comparison: The compared column and its baseline.
        by: Names of columns ``group_<name>``. Each of their values is analysed as a group of cases, too.
        primary: Column of the metric that the finding is about.
        metrics: The metrics to analyse.

    Raises:
        UserError: A case has two rows at one level and seed, or there is no such metric.
    """
    metric_named(primary, metrics)
    score_tables = build_score_tables(cases, comparison, by, metrics) if len(cases) else []
    settings = _Settings(comparison, margins, resampling or Resampling(), primary, metrics)
    analysis = _analyse(score_tables, settings)
    if not any(table.n_faults for table in score_tables):
        return analysis
    return replace(analysis, without_missed=_analyse([table.without_faults() for table in score_tables], settings))


@dataclass(frozen=True)
class _Settings:
    comparison: Comparison
    margins: Margins
    resampling: Resampling
    primary: str
    metrics: Sequence[Metric]


def _analyse(score_tables: Sequence[ScoreTable], settings: _Settings) -> Analysis:
    means: list[Mean] = []
    found: list[_Compared] = []
    for score_table in score_tables:
        for metric in settings.metrics:
            by_level = score_table.scores(metric) if metric.column in score_table.values else {}
            own = [_mean(score_table, metric, level, scores, settings) for level, scores in by_level.items()]
            means += own
            compared = _compare(score_table, metric, by_level, settings)
            baseline = [row for row in own if row.level == settings.comparison.baseline]
            found.append(replace(compared, differences=cut_to_possible(compared.differences, metric, baseline)))
    gaps, interactions = _contrasts(score_tables, found, settings.resampling)
    primary = [p for p in found if p.pairs and p.metric.column == settings.primary and not p.score_table.group]
    return Analysis(
        means=tuple(means),
        differences=tuple(row for part in found for row in part.differences),
        tolerances=tuple(part.tolerance for part in found if part.tolerance),
        crossings=tuple(part.crossing for part in found if part.crossing),
        mixed=tuple(row for part in found for row in part.mixed),
        gaps=gaps,
        interactions=interactions,
        notes=tuple(arm_notes(score_tables, [row.level for row in means], settings.comparison)),
        unlearned={
            part.score_table.dataset: part.unlearned for part in found if part.unlearned and not part.score_table.group
        },
        unpaired=dict(item for part in primary for item in unpaired_seeds(part.by_level, settings.comparison).items()),
        comparison=settings.comparison,
        primary=settings.primary,
        metrics=settings.metrics,
        margins=settings.margins,
        resampling=settings.resampling,
    )


def _mean(score_table: ScoreTable, metric: Metric, level: Level, scores: ScoreMatrix, settings: _Settings) -> Mean:
    kept = scores.without_empty()
    distribution = kept.distribution(settings.resampling, score_table.stream)
    ends = distribution.interval.within(metric.lowest, metric.highest) if distribution else None
    absent = len(scores.cases) - len(kept.cases)
    elsewhere = "other ratios" if settings.comparison.is_dose else "other levels"
    return Mean(
        dataset=score_table.dataset,
        metric=metric.column,
        level=level,
        mean=mean_over_cases(kept.values),
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        n_cases=len(kept.cases),
        n_seeds=len(kept.seeds),
        n_predictions=score_table.count(level),
        n_missed=score_table.count(level, "missed"),
        n_spurious=score_table.count(level, "spurious"),
        notes=kept.notes()
        + (
            (f"{count(absent, 'case')} of {elsewhere} {verb(absent, 'were')} not scored at this one",) if absent else ()
        ),
        group=score_table.group,
    )


@dataclass(frozen=True)
class _Compared:
    """The comparison of the levels of one data set (or group) and metric with the baseline."""

    score_table: ScoreTable
    metric: Metric
    by_level: dict[Level, ScoreMatrix]
    pairs: tuple[Pairs, ...] = ()
    differences: tuple[Difference, ...] = ()
    mixed: tuple[MixedCheck, ...] = ()
    unlearned: str = ""
    tolerance: Tolerance | None = None
    crossing: Crossing | None = None


def _compare(
    score_table: ScoreTable, metric: Metric, by_level: dict[Level, ScoreMatrix], settings: _Settings
) -> _Compared:
    """Compare every level with the baseline and adjust p over the levels; no differences without the baseline."""
    comparison, tail, margin = settings.comparison, settings.resampling.tail, settings.margins.of(metric)
    baseline = by_level.get(comparison.baseline)
    if baseline is None or len(by_level) < 2:
        alone = score_table.unlearned(comparison.baseline) if baseline is not None else ""
        return _Compared(score_table, metric, by_level, unlearned=alone)
    pairs = [
        pair(level, scores, baseline, comparison, settings.resampling, score_table.stream)
        for level, scores in by_level.items()
        if level != comparison.baseline
    ]
    rows = [_difference(score_table, metric, margin, one, settings) for one in pairs]
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    rows = [row if row.p is None else replace(row, p_holm=next(adjusted)) for row in rows]
    found = _Compared(
        score_table=score_table,
        metric=metric,
        by_level=by_level,
        pairs=tuple(pairs),
        differences=tuple(rows),
        mixed=tuple(mixed_check(row, one, metric, tail) for row, one in zip(rows, pairs, strict=True)),
    )
    if why := score_table.unlearned(comparison.baseline):
        note = f"at {comparison.name(comparison.baseline)} the network has not learned ({why})"
        kept = tuple(row.without_verdict(note) for row in found.differences)
        return replace(found, differences=kept, mixed=(), unlearned=why)
    if margin is None or not comparison.has_tolerance:
        return found
    return replace(
        found,
        tolerance=tolerated_ratio(rows, pairs, metric, margin, tail),
        crossing=margin_crossing(pairs, metric, margin, tail, (score_table.dataset, score_table.group)),
    )


def _difference(
    score_table: ScoreTable, metric: Metric, margin: float | None, pairs: Pairs, settings: _Settings
) -> Difference:
    row = Difference(
        score_table.dataset, metric.column, pairs.level, margin=margin, notes=pairs.notes, group=score_table.group
    )
    if pairs.scores is None:
        return row
    distribution = pairs.distribution
    interval = distribution.interval if distribution else None
    p, effect, words = rank_pairs(pairs)
    return replace(
        row,
        difference=pairs.difference,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n_cases=len(pairs.scores.cases),
        n_seeds=len(pairs.scores.seeds),
        p=p,
        rank_biserial=effect,
        verdict=verdict(metric, margin, interval),
        notes=pairs.notes + words + score_table.fault_notes(pairs.level, settings.comparison.baseline),
        p_crossed=distribution.p_different(0.0) if distribution else None,
        p_non_inferior=p_non_inferior(metric, margin, distribution),
        equivalence=equivalence(metric, margin, interval),
        p_equivalent=p_equivalent(metric, margin, distribution),
        detectable=detectable_difference(distribution.spread, settings.resampling.tail) if distribution else None,
    )


def _contrasts(
    score_tables: Sequence[ScoreTable], found: Sequence[_Compared], resampling: Resampling
) -> tuple[tuple[Contrast, ...], tuple[Contrast, ...]]:
    """Gaps and interactions of every data set with the first one, except data sets that share subjects with it."""
    ungrouped = [table for table in score_tables if not table.group]
    gaps: list[Contrast] = []
    interactions: list[Contrast] = []
    for away in ungrouped[1:]:
        home = ungrouped[0]
        if shared_subjects(home, away):
            continue
        own, other = ({part.metric.column: part for part in found if part.score_table is t} for t in (home, away))
        scores = {name: (own[name].by_level, other[name].by_level) for name in own}
        differences = {name: (_tables(own[name].pairs), _tables(other[name].pairs)) for name in own}
        gaps += contrasts(home, away, scores, resampling)
        interactions += contrasts(home, away, differences, resampling)
    return tuple(gaps), tuple(interactions)


def _tables(pairs: Sequence[Pairs]) -> dict[Level, ScoreMatrix]:
    return {one.level: one.scores for one in pairs if one.scores is not None}
