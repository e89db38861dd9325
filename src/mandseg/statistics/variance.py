"""Variation of seeds, cases and single case-seed pairs: the two-way analysis of variance of a table of scores.

In: scores (S seeds, C cases). Out: mean squares, variance components by the method of moments (Searle, Casella and
McCulloch 1992, chapter 4), and the variance of a mean with its t quantile.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VarianceParts:
    """Parts of the variance of an estimate, each with its degrees of freedom.

    Attributes:
        parts: Variance of the estimate from the seeds, then from the subjects of each data set, with the degrees of
            freedom of each. Every part still contains ``rest``. With one seed there is no part of the seeds.
        rest: Variance of the estimate from single case-seed pairs, one for each data set; empty with one seed.
    """

    parts: tuple[tuple[float, int], ...]
    rest: tuple[float, ...] = ()

    @property
    def variance(self) -> float:
        """Unbiased variance, except that components below zero count as zero."""
        if not self.rest:  # one seed
            return sum(variance for variance, _ in self.parts)
        rest = sum(self.rest)
        seeds, *subjects = (variance for variance, _ in self.parts)
        own = sum(max(part - noise, 0.0) for part, noise in zip(subjects, self.rest, strict=True))
        return max(seeds - rest, 0.0) + own + rest

    @property
    def resampled(self) -> float:
        """The variance of crossed resampling, which draws each pair with its seed and again with its subject."""
        return sum(variance for variance, _ in self.parts) + sum(self.rest)

    def quantiles(self, tails: Floats) -> Floats:
        """Quantiles of t for the estimate: those of the parts, weighted by their variances (Cochran 1964)."""
        total = sum(variance for variance, _ in self.parts)
        if total <= 0:
            return np.asarray(special.ndtri(tails))
        weighted = [variance / total * np.asarray(special.stdtrit(df, tails)) for variance, df in self.parts]
        return np.asarray(np.sum(weighted, axis=0))

    def quantile(self, tail: float) -> float:
        """:meth:`quantiles` of one tail."""
        return float(self.quantiles(np.array([tail]))[0])

    @property
    def degrees_of_freedom(self) -> float:
        """Satterthwaite's degrees of freedom (1946) of the variance."""
        total = sum(variance for variance, _ in self.parts)
        squares = sum(variance**2 / df for variance, df in self.parts)
        return total**2 / squares if squares > 0 else float(max(df for _, df in self.parts))


@dataclass(frozen=True)
class MeanSquares:
    """Two-way analysis of variance of a table of scores: seeds x subjects, one value a cell."""

    n_seeds: int
    n_subjects: int
    seeds: float  # 0 with one seed
    subjects: float
    rest: float  # 0 with one seed

    @property
    def spread(self) -> VarianceParts:
        """Parts of the variance of the mean of the table."""
        cells = self.n_seeds * self.n_subjects
        subjects = (self.subjects / cells, self.n_subjects - 1)
        if self.n_seeds == 1:
            return VarianceParts((subjects,))
        return VarianceParts(((self.seeds / cells, self.n_seeds - 1), subjects), (self.rest / cells,))

    @property
    def components(self) -> "Components":
        """Variance components; negative estimates are zero."""
        return Components(
            seed=max(self.seeds - self.rest, 0.0) / self.n_subjects,
            case=max(self.subjects - self.rest, 0.0) / self.n_seeds,
            rest=self.rest,
        )


@dataclass(frozen=True)
class Components:
    """Variance between seeds, between cases, and of the residual of single case-seed pairs, in squared units."""

    seed: float
    case: float
    rest: float

    def spread(self, n_seeds: int, n_cases: int) -> VarianceParts:
        """The expected variance of the mean for a design of this size."""
        rest = self.rest / (n_seeds * n_cases)
        return VarianceParts(
            ((self.seed / n_seeds + rest, n_seeds - 1), (self.case / n_cases + rest, n_cases - 1)),
            (rest,),
        )


def case_means(scores: Floats) -> Floats:
    """Mean over the seeds of each case. (S, C) -> (C,), NaN for a case without any score."""
    present = np.isfinite(scores)
    total, count = np.where(present, scores, 0.0).sum(axis=0), present.sum(axis=0)
    means: Floats = np.divide(total, count, out=np.full(scores.shape[1], np.nan), where=count > 0)
    return means


def mean_over_cases(scores: Floats) -> float:
    """Mean over cases of the mean over seeds; every case counts once, for any number of seeds."""
    return float(np.nanmean(case_means(scores)))


def by_subject(scores: Floats, subjects: NDArray[np.intp]) -> Floats:
    """Mean over the cases of each subject. (S, C) -> (S, n), NaN where a subject has no score for a seed."""
    n = int(subjects.max()) + 1
    if n == len(subjects):
        return scores
    member = np.eye(n)[subjects]  # (C, n)
    present = np.isfinite(scores)
    count = present @ member
    total = np.where(present, scores, 0.0) @ member
    means: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def mean_squares(scores: Floats, subjects: NDArray[np.intp]) -> MeanSquares:
    """Analysis of variance of a table; a missing cell has no residual.

    A seed that lacks cases has the mean of those that it has. So its variance is too large rather than too small.

    Args:
        scores: (S, C), NaN for missing cells; every row and column holds at least one score.
        subjects: (C,) number of the subject of each case, 0 to n - 1. The cases of a subject are averaged first.
    """
    table = by_subject(scores, subjects)
    (n_seeds, n_subjects), present = table.shape, np.isfinite(table)
    by_case, by_seed, grand = case_means(table), case_means(table.T), mean_over_cases(table)
    between_subjects = float(n_seeds * np.square(by_case - grand).sum() / (n_subjects - 1))
    if n_seeds == 1:
        return MeanSquares(1, n_subjects, 0.0, between_subjects, 0.0)
    residual = np.where(present, table - by_seed[:, None] - by_case[None, :] + grand, 0.0)
    degrees_of_freedom = max((n_seeds - 1) * (n_subjects - 1) - int((~present).sum()), 1)
    return MeanSquares(
        n_seeds,
        n_subjects,
        float(n_subjects * np.square(by_seed - grand).sum() / (n_seeds - 1)),
        between_subjects,
        float(np.square(residual).sum() / degrees_of_freedom),
    )
