"""Crossed bootstrap: the distribution of a mean over seeds x cases. All seeds are tested on the same cases.

In: an array of scores (S seeds, C cases), NaN where a cell is missing. Out: the mean with intervals and p-values.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mandseg.statistics.variance import Floats, VarianceParts, mean_over_cases, mean_squares

Z_GRID = np.linspace(-3.5, 3.5, 142)  # standard normal quantiles at which a distribution is read to give p-values


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

    @property
    def tail(self) -> float:
        """One-sided error of each end of an interval."""
        return (1 - self.confidence) / 2


@dataclass(frozen=True, eq=False)
class Distribution:
    """An estimate with its resamples and its variance.

    Attributes:
        estimate: The value of the observed data.
        resamples: (B,) values of resampled data, scaled to the unbiased variance of the estimate.
        spread: The parts of this variance; they give the t quantiles that widen the interval.
        resampling: How the resamples were drawn.
    """

    estimate: float
    resamples: Floats = field(repr=False)
    spread: VarianceParts
    resampling: Resampling

    @cached_property
    def interval(self) -> Interval:
        """The two-sided interval."""
        low, high = self.bounds(np.array([self.resampling.tail, 1 - self.resampling.tail]))
        return Interval(float(low), float(high))

    @cached_property
    def widened_interval(self) -> Floats:
        """(B,) resamples, stretched so that their percentiles are the ends of :attr:`interval`."""
        moved = self.resamples - self.estimate
        tail = self.resampling.tail
        return self.estimate + moved * self.spread.quantile(1 - tail) / special.ndtri(1 - tail)

    def bounds(self, tails: Floats) -> Floats:
        """One-sided bounds: the value below which the truth lies with an error of each tail probability (not 0.5)."""
        moved = np.quantile(self.resamples, tails) - self.estimate
        outward = np.where(tails < 0.5, np.minimum(moved, 0.0), np.maximum(moved, 0.0))
        bounds: Floats = self.estimate + outward * self.spread.quantiles(tails) / special.ndtri(tails)
        return bounds

    def p_below(self, value: float) -> float:
        """One-sided p of "the truth is ``value`` or more"; a small p is evidence that the truth is less.

        The smallest error at which a one-sided interval stays below ``value``; never below 1 / (resamples + 1).
        """
        tails, bounds = self._curve
        return self._floored(np.interp(-value, -bounds[::-1], 1 - tails[::-1], left=0.0, right=1.0))

    def p_above(self, value: float) -> float:
        """One-sided p of "the truth is ``value`` or less"."""
        tails, bounds = self._curve
        return self._floored(np.interp(value, bounds, tails, left=0.0, right=1.0))

    def _floored(self, p: float) -> float:
        return min(max(float(p), 1 / (self.resampling.n_resamples + 1)), 1.0)

    def p_different(self, value: float) -> float:
        """Two-sided p of "the truth is ``value``"."""
        return min(1.0, 2 * min(self.p_above(value), self.p_below(value)))

    @cached_property
    def _curve(self) -> tuple[Floats, Floats]:
        """Tail probabilities (with the two of the interval) and their bounds, both ascending.

        Of equal bounds, np.interp gives the value at the last one: the largest p.
        """
        end = special.ndtri(self.resampling.tail)
        tails = special.ndtr(np.sort(np.append(Z_GRID, [end, -end])))
        return tails, np.maximum.accumulate(self.bounds(tails))


def resampled_mean(
    scores: Floats, subjects: NDArray[np.intp], resampling: Resampling, stream: int = 0
) -> Distribution | None:
    """Distribution of the mean over cases; seeds and subjects are resampled independently.

    Each resample draws one seed fewer and one subject fewer than there are. This makes the resampled variance unbiased
    for seeds and for subjects (Rao and Wu 1988, doi 10.1080/01621459.1988.10478591). Single case-seed pairs are drawn
    with seeds and with subjects, so their variance counts three times. Therefore the resamples are scaled to the
    variance of the two-way analysis of variance. With one seed only subjects are drawn.

    Args:
        scores: (S, C), NaN for missing cells; every row and column holds at least one score.
        subjects: (C,) number of the subject of each case, 0 to n - 1; cases of one subject are drawn together.
        resampling: Number of resamples, confidence and seed.
        stream: Number of the data set. Subjects of two data sets are drawn independently, seeds together.

    Returns:
        None with fewer than two subjects, or where missing cells leave too many resamples empty.
    """
    if len(np.unique(subjects)) < 2:
        return None
    drawn = draw_means(scores, subjects, resampling, stream)
    if not np.isfinite(drawn).all():
        return None
    return calibrated(mean_over_cases(scores), drawn, mean_squares(scores, subjects).spread, resampling)


def calibrated(estimate: float, drawn: Floats, spread: VarianceParts, resampling: Resampling) -> Distribution:
    """Scale the resamples about the estimate, from the resampled variance to the unbiased variance."""
    scale = np.sqrt(spread.variance / spread.resampled) if spread.resampled > 0 else 1.0
    return Distribution(estimate, estimate + scale * (drawn - estimate), spread, resampling)


def draw_means(scores: Floats, subjects: NDArray[np.intp], resampling: Resampling, stream: int = 0) -> Floats:
    """(S, C) -> (B,) resampled means: a mean is a weighted sum, so one matrix product gives all resamples.

    A resample without any score is replaced by another one. All are NaN if this concerns more than one in twenty.
    """
    seed_weights = _seed_weights(len(scores), resampling)
    weights = _case_weights(subjects, resampling, stream)  # (C, B)
    holed = np.flatnonzero(~np.isfinite(scores).all(axis=0))
    full = scores if not len(holed) else np.where(np.isin(np.arange(scores.shape[1]), holed), 0.0, scores)
    total = np.einsum("bs,sb->b", seed_weights, full @ weights) / seed_weights[0].sum()
    drawn = weights.sum(axis=0)
    if len(holed):
        means, count = _holed_means(scores[:, holed], seed_weights)
        total += (means * weights[holed].T).sum(axis=1)
        drawn -= (weights[holed].T * (count == 0)).sum(axis=1)
    filled = drawn > 0
    if filled.mean() < 0.95:
        return np.full(len(total), np.nan)
    return np.resize(total[filled] / drawn[filled], len(total))


def _case_weights(subjects: NDArray[np.intp], resampling: Resampling, stream: int) -> Floats:
    """(C, B) number of times that each case is drawn, which is the number for its subject."""
    weights = _subject_weights(int(subjects.max()) + 1, resampling, stream)
    return weights if np.array_equal(subjects, np.arange(len(weights))) else weights[subjects]


def _holed_means(scores: Floats, seed_weights: Floats) -> tuple[Floats, Floats]:
    """For cases that lack seeds: mean over the drawn seeds, and the number of scores in it, (B, C) each."""
    present = np.isfinite(scores)
    count = seed_weights @ present
    total = seed_weights @ np.where(present, scores, 0.0)
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0), count


@lru_cache(maxsize=8)
def _seed_weights(n_seeds: int, resampling: Resampling) -> Floats:
    """(B, S) number of times that each seed is drawn; equal for every data set, metric and level."""
    return _draws(np.random.default_rng([resampling.seed, 0]), n_seeds, resampling.n_resamples)


@lru_cache(maxsize=8)
def _subject_weights(n_subjects: int, resampling: Resampling, stream: int) -> Floats:
    """(n, B) number of times that each subject is drawn; equal for every metric and level of a data set."""
    draws = _draws(np.random.default_rng([resampling.seed, 1, stream]), n_subjects, resampling.n_resamples)
    return np.ascontiguousarray(draws.T)


def _draws(rng: np.random.Generator, n: int, n_resamples: int) -> Floats:
    if n == 1:
        return np.ones((n_resamples, 1))
    return rng.multinomial(n - 1, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
