"""Cases of one arm -> means, paired differences from the baseline, verdicts, tolerated ratio, checks: the story.

The unit of analysis is the case, paired across levels; seeds are a second, crossed level (docs/statistics.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pandas as pd

from mandseg.metrics.catalogue import METRICS, Metric, metric_named
from mandseg.metrics.margins import MARGINS, Margins
from mandseg.metrics.mask_pair import WORST_CASE
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.comparison import RATIO, Comparison, Level
from mandseg.statistics.dataset_contrasts import contrasts, shared_subjects
from mandseg.statistics.dose_response import margin_crossing
from mandseg.statistics.mixed_model import mixed_check
from mandseg.statistics.non_inferiority import equivalence, p_equivalent, p_non_inferior, verdict
from mandseg.statistics.paired_tests import Pairs, holm, pair, rank_pairs, unpaired_seeds
from mandseg.statistics.power import detectable_difference
from mandseg.statistics.results import Contrast, Crossing, Difference, Mean, MixedCheck, Tolerance
from mandseg.statistics.score_table import Cube, Scores, build_cubes
from mandseg.statistics.tolerated_ratio import tolerated_ratio
from mandseg.statistics.variance import mean_over_cases

Placed = TypeVar("Placed", Mean, Difference, Tolerance, Crossing, MixedCheck)


@dataclass(frozen=True)
class Analysis:
    """Everything the report says about one arm, in the order of data sets, groups, metrics and levels.

    Attributes:
        comparison: What was compared.
        primary: Column of the metric that the finding is about.
        margins: The loss that counts as no loss.
        resampling: How intervals were drawn.
        means, differences, tolerances, crossings, mixed, gaps, interactions: The rows, see
            :mod:`mandseg.statistics.results`.
        notes: What holds for the arm as a whole, in words.
        unlearned: Data set to what shows that the networks at its baseline have not learned.
        unpaired: Level to the seeds of it and of the baseline, in words, where no seed was run at both.
        without_missed: The same with missed and spurious predictions left out; None where there are none.
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
    comparison: Comparison = RATIO
    primary: str = "dice"
    margins: Margins = MARGINS
    resampling: Resampling = field(default_factory=Resampling)
    without_missed: "Analysis | None" = None

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
    comparison: Comparison = RATIO,
    by: Sequence[str] = (),
    primary: str = "dice",
) -> Analysis:
    """Analyse one arm: every data set and metric.

    Args:
        cases: Rows ``<compared column>, seed, dataset, case_id, subject_id, outcome`` and one column per metric.
        margins: The loss that counts as no loss.
        resampling: How intervals are drawn (default: 4,000 resamples, 95 %, seed 0).
        comparison: The compared column and its baseline.
        by: Columns ``group_<name>`` by whose values each data set is looked at as well.
        primary: Column of the metric that the finding is about.

    Raises:
        UserError: One case is there twice at one level and seed, or there is no such metric.
    """
    metric_named(primary)
    cubes = build_cubes(cases, comparison, by) if len(cases) else []
    settings = _Settings(comparison, margins, resampling or Resampling(), primary)
    analysis = _analyse(cubes, settings)
    if not any(cube.n_faults for cube in cubes):
        return analysis
    return replace(analysis, without_missed=_analyse([cube.without_faults() for cube in cubes], settings))


@dataclass(frozen=True)
class _Settings:
    comparison: Comparison
    margins: Margins
    resampling: Resampling
    primary: str


def _analyse(cubes: Sequence[Cube], settings: _Settings) -> Analysis:
    means: list[Mean] = []
    found: list[_Found] = []
    for cube in cubes:
        for metric in METRICS:
            by_level = cube.scores(metric) if metric.column in cube.values else {}
            means += [_mean(cube, metric, level, scores, settings) for level, scores in by_level.items()]
            found.append(_compare(cube, metric, by_level, settings))
    gaps, interactions = _contrasts(cubes, found, settings.resampling)
    primary = [p for p in found if p.pairs and p.metric.column == settings.primary and not p.cube.group]
    return Analysis(
        means=tuple(means),
        differences=tuple(row for part in found for row in part.differences),
        tolerances=tuple(part.tolerance for part in found if part.tolerance),
        crossings=tuple(part.crossing for part in found if part.crossing),
        mixed=tuple(row for part in found for row in part.mixed),
        gaps=gaps,
        interactions=interactions,
        notes=tuple(_notes(cubes, [row.level for row in means], settings.comparison)),
        unlearned={part.cube.dataset: part.unlearned for part in found if part.unlearned and not part.cube.group},
        unpaired=dict(item for part in primary for item in unpaired_seeds(part.by_level, settings.comparison).items()),
        comparison=settings.comparison,
        primary=settings.primary,
        margins=settings.margins,
        resampling=settings.resampling,
    )


def _mean(cube: Cube, metric: Metric, level: Level, scores: Scores, settings: _Settings) -> Mean:
    kept = scores.trimmed()
    distribution = kept.distribution(settings.resampling, cube.stream)
    ends = distribution.interval.within(metric.lowest, metric.highest) if distribution else None
    absent = len(scores.cases) - len(kept.cases)
    elsewhere = "other ratios" if settings.comparison.is_dose else "other levels"
    return Mean(
        dataset=cube.dataset,
        metric=metric.column,
        level=level,
        mean=mean_over_cases(kept.values),
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        n_cases=len(kept.cases),
        n_seeds=len(kept.seeds),
        n_predictions=cube.count(level),
        n_missed=cube.count(level, "missed"),
        n_spurious=cube.count(level, "spurious"),
        notes=kept.notes() + ((f"{absent} cases of {elsewhere} were not scored at this one",) if absent else ()),
        group=cube.group,
    )


@dataclass(frozen=True)
class _Found:
    """What comparing the levels of one data set (or group) and metric gave."""

    cube: Cube
    metric: Metric
    by_level: dict[Level, Scores]
    pairs: tuple[Pairs, ...] = ()
    differences: tuple[Difference, ...] = ()
    mixed: tuple[MixedCheck, ...] = ()
    unlearned: str = ""
    tolerance: Tolerance | None = None
    crossing: Crossing | None = None


def _compare(cube: Cube, metric: Metric, by_level: dict[Level, Scores], settings: _Settings) -> _Found:
    """Every level against the baseline, p-values adjusted over the levels; nothing without the baseline."""
    comparison, tail, margin = settings.comparison, settings.resampling.tail, settings.margins.of(metric)
    baseline = by_level.get(comparison.baseline)
    if baseline is None or len(by_level) < 2:
        return _Found(cube, metric, by_level)
    pairs = [
        pair(level, scores, baseline, comparison, settings.resampling, cube.stream)
        for level, scores in by_level.items()
        if level != comparison.baseline
    ]
    rows = _adjusted([_difference(cube, metric, margin, one, settings) for one in pairs])
    found = _Found(
        cube=cube,
        metric=metric,
        by_level=by_level,
        pairs=tuple(pairs),
        differences=tuple(rows),
        mixed=tuple(mixed_check(row, one, metric, tail) for row, one in zip(rows, pairs, strict=True)),
    )
    if why := cube.unlearned(comparison.baseline):
        note = f"at {comparison.name(comparison.baseline)} the network has not learned ({why})"
        kept = tuple(row.without_verdict(note) for row in found.differences)
        return replace(found, differences=kept, mixed=(), unlearned=why)
    if margin is None or not comparison.is_dose:
        return found
    return replace(
        found,
        tolerance=tolerated_ratio(rows, pairs, metric, margin, tail),
        crossing=margin_crossing(pairs, metric, margin, tail, (cube.dataset, cube.group)),
    )


def _difference(cube: Cube, metric: Metric, margin: float | None, pairs: Pairs, settings: _Settings) -> Difference:
    row = Difference(cube.dataset, metric.column, pairs.level, margin=margin, notes=pairs.notes, group=cube.group)
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
        notes=pairs.notes + words + _fault_notes(cube, pairs.level, settings.comparison.baseline),
        p_crossed=distribution.p_different(0.0) if distribution else None,
        p_non_inferior=p_non_inferior(metric, margin, distribution),
        equivalence=equivalence(metric, margin, interval),
        p_equivalent=p_equivalent(metric, margin, distribution),
        detectable=detectable_difference(distribution.spread, settings.resampling.tail) if distribution else None,
    )


def _fault_notes(cube: Cube, *levels: Level) -> tuple[str, ...]:
    faults = {name: sum(cube.count(level, name) for level in levels) for name in WORST_CASE}
    told = " and ".join(f"{n} {name}" for name, n in faults.items() if n)
    return (f"{told} predictions count with worst-case scores: rare ones make the interval too narrow",) if told else ()


def _adjusted(rows: Sequence[Difference]) -> list[Difference]:
    """Holm's adjustment over the levels of one data set and metric."""
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else replace(row, p_holm=next(adjusted)) for row in rows]


def _contrasts(
    cubes: Sequence[Cube], found: Sequence[_Found], resampling: Resampling
) -> tuple[tuple[Contrast, ...], tuple[Contrast, ...]]:
    """Gaps and interactions of every whole data set with the first one; sets that share subjects are left out."""
    whole = [cube for cube in cubes if not cube.group]
    gaps: list[Contrast] = []
    interactions: list[Contrast] = []
    for away in whole[1:]:
        if shared_subjects(whole[0], away):
            continue
        here, there = ({part.metric.column: part for part in found if part.cube is cube} for cube in (whole[0], away))
        levels = {name: (here[name].by_level, there[name].by_level) for name in here}
        moved = {name: (_tables(here[name].pairs), _tables(there[name].pairs)) for name in here}
        gaps += contrasts(whole[0], away, levels, resampling)
        interactions += contrasts(whole[0], away, moved, resampling)
    return tuple(gaps), tuple(interactions)


def _tables(pairs: Sequence[Pairs]) -> dict[Level, Scores]:
    return {one.level: one.scores for one in pairs if one.scores is not None}


def _notes(cubes: Sequence[Cube], scored: Sequence[Level], comparison: Comparison) -> Iterator[str]:
    """What holds for the arm as a whole."""
    whole = [cube for cube in cubes if not cube.group]
    levels = comparison.ordered(scored)
    if not levels:
        yield "no case was scored: there is nothing to analyse"
    elif comparison.baseline not in levels:
        yield f"no run at {comparison.name(comparison.baseline)} is done: nothing can be compared with it"
    elif len(levels) == 1:
        yield f"only {comparison.name(levels[0])} has been run: there is nothing to compare"
    for away in whole[1:]:
        if n := shared_subjects(whole[0], away):
            yield (
                f"data set {away.dataset} shares {n} of its {len(set(away.subjects))} subjects with "
                f"{whole[0].dataset}: the two are not compared with each other"
            )
