"""The same cases and seeds at two levels: paired differences, their signed-rank test, and Holm's adjustment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mandseg.statistics.bootstrap import Distribution, Resampling
from mandseg.statistics.comparison import Comparison, Level
from mandseg.statistics.score_table import ScoreMatrix
from mandseg.statistics.variance import Floats, case_means, mean_over_cases
from mandseg.system.wording import count, verb

MOST_SIGNS = 13  # up to this number of differences p is exact, over all choices of signs, as in scipy


@dataclass(frozen=True, eq=False)
class Pairs:
    """The differences of one level from the baseline.

    Attributes:
        level: The level.
        scores: Level minus baseline, by seed and case; None where nothing can be paired.
        distribution: Distribution of the mean difference; None where it cannot be given.
        notes: The unpaired seeds and cases, and the limits of the numbers.
    """

    level: Level
    scores: ScoreMatrix | None
    distribution: Distribution | None
    notes: tuple[str, ...]

    @property
    def difference(self) -> float | None:
        """Mean over cases of the mean over seeds."""
        return None if self.scores is None else mean_over_cases(self.scores.values)


def pair(
    level: Level, other: ScoreMatrix, baseline: ScoreMatrix, comparison: Comparison, resampling: Resampling, stream: int
) -> Pairs:
    """Subtract the baseline from a level by seed and case; unpaired seeds and cases are left out and named in notes."""
    seeds = sorted(set(baseline.seeds) & set(other.seeds))
    both = "both ratios" if comparison.is_dose else "both levels"
    if not seeds:
        return Pairs(level, None, None, (f"no seed was run at {both}: nothing can be paired",))
    values = other.select_seeds(seeds).values - baseline.select_seeds(seeds).values
    if not np.isfinite(values).any():
        return Pairs(level, None, None, (f"no case was scored at {both}: nothing can be paired",))
    scores = ScoreMatrix(values, tuple(seeds), other.cases, other.subjects).without_empty()
    alone = sorted(set(baseline.seeds) ^ set(other.seeds))
    unpaired = (f"left out, not run at {both}: seed {', '.join(map(str, alone))}",) if alone else ()
    absent = len(other.cases) - len(scores.cases)
    unscored = (f"left out, not scored at {both}: {absent} of {count(len(other.cases), 'case')}",) if absent else ()
    return Pairs(level, scores, scores.distribution(resampling, stream), unpaired + unscored + scores.notes())


def unpaired_seeds(by_level: Mapping[Level, ScoreMatrix], comparison: Comparison) -> dict[Level, str]:
    """The baseline and the levels that share no seed with it, each with its seeds in words; empty if all share one."""
    own = by_level[comparison.baseline].seeds
    alone = {level: scores.seeds for level, scores in by_level.items() if not set(scores.seeds) & set(own)}
    listed = {comparison.baseline: own, **alone} if alone else {}
    return {
        level: f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))} at {comparison.name(level)}"
        for level, seeds in listed.items()
    }


def signed_rank(differences: Floats) -> tuple[float, float, tuple[str, ...]]:
    """Wilcoxon's signed-rank test of paired differences and the matched-pairs rank-biserial correlation.

    Zero differences are left out of the ranks (Wilcoxon's rule). Ties share a rank. Differences are rounded to 1e-12:
    ties do not depend on the last bit. If all differences are zero, p is 1 and the correlation is 0.

    Args:
        differences: (C,) one per case, without NaN.

    Returns:
        Two-sided p, correlation in -1 to 1 (1: every case rose; Kerby 2014, doi 10.2466/11.IT.3.1), notes.
    """
    moved = np.round(differences, 12)
    moved = moved[moved != 0]
    if not len(moved):
        return 1.0, 0.0, ("all differences are zero",)
    ranks = np.asarray(pd.Series(np.abs(moved)).rank(), np.float64)  # from 1; ties share the mean of their ranks
    effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    p = _exact_p(moved, ranks) if len(moved) <= MOST_SIGNS else _scipy_p(moved)
    least = 2.0 ** (1 - len(moved))
    few = f"only {len(moved)} of the cases {verb(len(moved), 'differ')}: p cannot fall below {least:.2g}"
    return p, effect, (few,) if least > 0.05 else ()


def _scipy_p(moved: Floats) -> float:
    from scipy import stats  # half a second, and few cases do not need it

    return float(stats.wilcoxon(moved).pvalue)


def _exact_p(moved: Floats, ranks: Floats) -> float:
    """Two-sided p over every choice of signs, also with ties, where scipy takes seconds."""
    signs = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
    sums, seen = signs @ ranks, ranks[moved > 0].sum()
    return float(min(1.0, 2 * min((sums <= seen).mean(), (sums >= seen).mean())))


def rank_pairs(pairs: Pairs) -> tuple[float, float, tuple[str, ...]]:
    """:func:`signed_rank` of each subject's difference, averaged over its cases and over the seeds."""
    assert pairs.scores is not None
    means, subjects = case_means(pairs.scores.values), pairs.scores.numbered_subjects
    return signed_rank(np.bincount(subjects, weights=means) / np.bincount(subjects))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) for the family-wise error of the p-values; the order is kept."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]
