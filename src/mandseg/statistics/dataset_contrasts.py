"""One data set against the home data set: is the score lower there, and is the loss from noise larger there?

Both are tested with the same networks on different cases. So seeds are resampled together and cases independently.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mandseg.statistics.bootstrap import Distribution, Resampling, calibrated, draw_means
from mandseg.statistics.comparison import Level
from mandseg.statistics.results import Contrast
from mandseg.statistics.score_table import ScoreMatrix, ScoreTable
from mandseg.statistics.variance import VarianceParts, by_subject, case_means, mean_over_cases, mean_squares

MeansOrDifferences = dict[Level, ScoreMatrix]


def contrast(
    row: Contrast, away: ScoreMatrix, home: ScoreMatrix, streams: tuple[int, int], resampling: Resampling
) -> Contrast:
    """Mean of one table minus the mean of another, for the same seeds and different cases.

    Args:
        row: The contrast to fill in.
        away: Scores, or differences, of the data set.
        home: Scores, or differences, of the home data set.
        streams: Numbers of the two data sets.
        resampling: How the interval is drawn.
    """
    seeds = sorted(set(away.seeds) & set(home.seeds))
    if not seeds:
        return replace(row, notes=("no seed was tested on both data sets",))
    here, there = away.select_seeds(seeds).without_empty(), home.select_seeds(seeds).without_empty()
    value = mean_over_cases(here.values) - mean_over_cases(there.values)
    filled = replace(row, value=value, n_cases=len(here.cases), n_reference_cases=len(there.cases), n_seeds=len(seeds))
    notes = ("one seed: the interval does not cover the variation between trainings",) if len(seeds) == 1 else ()
    distribution = _distribution(value, here, there, streams, resampling)
    if distribution is None:
        return replace(filled, notes=(*notes, "no interval can be given: too few subjects, or too many cells missing"))
    low, high = distribution.interval.low, distribution.interval.high
    return replace(filled, low=low, high=high, p=distribution.p_different(0.0), notes=notes)


def _distribution(
    value: float, here: ScoreMatrix, there: ScoreMatrix, streams: tuple[int, int], resampling: Resampling
) -> Distribution | None:
    tables = (here, there)
    if here.seeds != there.seeds or any(len(set(table.subjects)) < 2 for table in tables):
        return None
    drawn = [
        draw_means(table.values, table.numbered_subjects, resampling, stream)
        for table, stream in zip(tables, streams, strict=True)
    ]
    moved = drawn[0] - drawn[1]
    if not np.isfinite(moved).all():
        return None
    return calibrated(value, moved, _spread(tables), resampling)


def _spread(tables: Sequence[ScoreMatrix]) -> VarianceParts:
    """Variance of the contrast: from the seeds, whose effects on both tables may cancel, and from the cases of each."""
    squares = [mean_squares(table.values, table.numbered_subjects) for table in tables]
    own = [part.spread for part in squares]
    if squares[0].n_seeds == 1:
        return VarianceParts(tuple(spread.parts[0] for spread in own))
    here, there = (case_means(by_subject(table.values, table.numbered_subjects).T) for table in tables)
    seeds = (float(np.var(here - there, ddof=1)) / len(here), len(here) - 1)
    return VarianceParts((seeds, *(spread.parts[1] for spread in own)), tuple(spread.rest[0] for spread in own))


def contrasts(
    home: ScoreTable,
    away: ScoreTable,
    tables: dict[str, tuple[MeansOrDifferences, MeansOrDifferences]],
    resampling: Resampling,
) -> Iterator[Contrast]:
    """Contrasts of all metrics and levels that both data sets have.

    Args:
        home: The home data set.
        away: Another one.
        tables: Metric column to the scores, or differences, of home and away by level.
        resampling: How intervals are drawn.
    """
    for column, (at_home, abroad) in tables.items():
        for level in abroad:
            if level in at_home:
                row = Contrast(away.dataset, home.dataset, column, level)
                yield contrast(row, abroad[level], at_home[level], (away.stream, home.stream), resampling)


def shared_subjects(home: ScoreTable, away: ScoreTable) -> int:
    """Number of subjects that a data set shares with the home data set. Such data sets are not independent samples."""
    return len(set(home.subjects) & set(away.subjects))
