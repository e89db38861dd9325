"""Crossed bootstrap: an interval for a mean over seeds x cases where all seeds are tested on the same cases.

In: an array of scores (S seeds, C cases), NaN where a cell is missing. Out: the mean and its interval.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Two ends of a confidence interval, in the unit of the score."""

    low: float
    high: float

    def within(self, low: float, high: float) -> "Interval":
        """The interval cut to values that the score can take."""
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn: number of resamples, two-sided confidence, seed."""

    n_resamples: int = 4000
    confidence: float = 0.95
    seed: int = 0


def case_means(scores: Floats) -> Floats:
    """Mean over the seeds of each case. (S, C) -> (C,), NaN for a case without any score."""
    present = np.isfinite(scores)
    total, count = np.where(present, scores, 0.0).sum(axis=0), present.sum(axis=0)
    means: Floats = np.divide(total, count, out=np.full(scores.shape[1], np.nan), where=count > 0)
    return means


def mean_over_cases(scores: Floats) -> float:
    """Mean over cases of the mean over seeds: every case counts once, however many seeds it has."""
    return float(np.nanmean(case_means(scores)))


def crossed_interval(scores: Floats, subjects: NDArray[np.intp], resampling: Resampling) -> Interval | None:
    """Interval of :func:`mean_over_cases`, seeds and subjects resampled independently.

    One seed fewer and one subject fewer than there are is drawn each time, which makes the resampled variance unbiased
    (Rao and Wu 1988, doi 10.1080/01621459.1988.10478591), and the percentile interval is widened from the normal to the
    t distribution with Satterthwaite's degrees of freedom: three seeds are few. With one seed only subjects are drawn.

    Args:
        scores: (S, C), NaN for missing cells; every row and column holds at least one score.
        subjects: (C,) number of the subject of each case, 0 to n - 1; cases of one subject are drawn together.
        resampling: Number of resamples, confidence and seed.

    Returns:
        None with fewer than two subjects, or where missing cells leave too many resamples empty.
    """
    n_subjects = len(np.unique(subjects))
    if n_subjects < 2:
        return None
    means = _resampled_means(scores, subjects, resampling)
    if len(means) < 0.95 * resampling.n_resamples:
        return None
    tail = (1 - resampling.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    widening = stats.t.ppf(1 - tail, degrees_of_freedom(scores, n_subjects)) / stats.norm.ppf(1 - tail)
    mean = mean_over_cases(scores)
    return Interval(mean - float(widening * max(mean - low, 0.0)), mean + float(widening * max(high - mean, 0.0)))


def _resampled_means(scores: Floats, subjects: NDArray[np.intp], resampling: Resampling) -> Floats:
    """(S, C) -> (B,): a mean is a weighted sum, so all resamples are one product of weights and scores."""
    seed_weights, subject_weights = _weights(len(scores), int(subjects.max()) + 1, resampling)
    present = np.isfinite(scores)
    count = seed_weights @ present  # (B, C)
    total = seed_weights @ np.where(present, scores, 0.0)
    means = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    weights = subject_weights[:, subjects] * (count > 0)
    drawn = weights.sum(axis=1)
    filled = drawn > 0
    return np.asarray((means * weights).sum(axis=1)[filled] / drawn[filled], dtype=np.float64)


@lru_cache(maxsize=8)
def _weights(n_seeds: int, n_subjects: int, resampling: Resampling) -> tuple[Floats, Floats]:
    """How often each seed (B, S) and each subject (B, n) is drawn; the same for every metric and ratio."""
    rng = np.random.default_rng(resampling.seed)
    return _draws(rng, n_seeds, resampling.n_resamples), _draws(rng, n_subjects, resampling.n_resamples)


def _draws(rng: np.random.Generator, n: int, n_resamples: int) -> Floats:
    if n == 1:
        return np.ones((n_resamples, 1))
    return rng.multinomial(n - 1, np.full(n, 1 / n), size=n_resamples).astype(np.float64)


def degrees_of_freedom(scores: Floats, n_subjects: int) -> float:
    """Satterthwaite's degrees of freedom of the mean of a crossed table, from its two-way analysis of variance.

    Between S - 1, where the seeds make all the variance, and about n - 1, where the subjects do. Missing cells take the
    value that their row and column predict.
    """
    n_seeds, n_cases = scores.shape
    if n_seeds == 1:
        return n_subjects - 1
    by_case, by_seed, grand = case_means(scores), case_means(scores.T), mean_over_cases(scores)
    expected = by_seed[:, None] + by_case[None, :] - grand
    residual = np.where(np.isfinite(scores), scores - expected, 0.0)
    between_seeds = n_cases * np.square(by_seed - grand).sum() / (n_seeds - 1)
    between_cases = n_seeds * np.square(by_case - grand).sum() / (n_subjects - 1)
    rest = np.square(residual).sum() / ((n_seeds - 1) * (n_subjects - 1))
    spread = (
        between_seeds**2 / (n_seeds - 1)
        + between_cases**2 / (n_subjects - 1)
        + rest**2 / ((n_seeds - 1) * (n_subjects - 1))
    )
    fewest = min(n_seeds, n_subjects) - 1
    variance = max(between_seeds + between_cases - rest, 0.0)
    return float(max(variance**2 / spread, fewest)) if spread > 0 else float(n_subjects - 1)
